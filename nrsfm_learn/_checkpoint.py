"""A run's state in a folder."""

import contextlib
import os
import pathlib
import tempfile

import torch

CHECKPOINT_FORMAT = 2


class CheckpointError(ValueError):
    """A checkpoint cannot be used: it is damaged, or belongs to another fit."""


class Checkpoint:
    """State of a run in a folder, written to a temporary file and renamed: there is never half a
    checkpoint.

    Parameters
    ----------
    options : TrainingOptions
        Tells the folder, and is part of what identifies the run.
    fingerprint : str
        Of data and settings.
    race : Race
        What is saved and restored.
    """

    def __init__(self, options, fingerprint, race):
        self.path = pathlib.Path(options.checkpoint_dir) / "training.pt"
        settings = options._replace(checkpoint_dir=None, checkpoint_every=0)
        self.fingerprint = f"{fingerprint}|{settings}|{race.ladder}"
        self.race = race

    def save(self):
        """Write the state of the run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "format": CHECKPOINT_FORMAT,
            "fingerprint": self.fingerprint,
            **self.race.state_dict(),
        }
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(state, file)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def load(self):
        """Restore the run if there is one."""
        if not self.path.exists():
            return
        try:
            # weights_only: tensors and plain containers, never code.
            device = self.race.losses.device
            state = torch.load(self.path, map_location=device, weights_only=True)
            if state["format"] != CHECKPOINT_FORMAT:
                raise CheckpointError(
                    f"{self.path} has checkpoint format {state['format']!r}; this version reads "
                    f"{CHECKPOINT_FORMAT}. Delete the file to start over."
                )
            if state["fingerprint"] != self.fingerprint:
                raise CheckpointError(
                    f"{self.path} belongs to a fit with other data or settings. Give this fit a "
                    f"checkpoint_dir of its own, or delete the file to start over."
                )
            self.race.load_state_dict(state)
        except CheckpointError:
            raise
        except Exception as error:
            # Torch's own message advises to load the file in the way that runs its code.
            raise CheckpointError(
                f"{self.path} could not be read as a checkpoint ({type(error).__name__}): it is "
                f"damaged, or was written by something else. Delete the file to start over."
            ) from error
