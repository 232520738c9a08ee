"""The race of the starts of one fit: steps, rungs, and who is left."""

import math

import torch

from ._starts import lanes_of

MAX_BAD_STEPS = 50
# Iterations that the loss of a start is averaged over.
LOSS_WINDOW = 100
# Starts kept beside the best one, to compare it with.
N_RUNNERS_UP = 3


class TrainingError(RuntimeError):
    """Training produced numbers that are not finite and could not go on."""


class Race:
    """The state of the starts of one fit: all that a checkpoint holds.

    Parameters
    ----------
    starts : list of Start
        Modules and objectives.
    options : TrainingOptions
        How to train.
    ladder : Ladder
        When to keep how many.
    rank : callable or None
        ``rank(numbers, losses) -> list of dict`` with a ``"score"`` each, lower is better.
    together : bool
        One lane for all, or one for each.
    generator : torch.Generator
        Draws batches and views.
    """

    def __init__(self, starts, options, ladder, rank, together, generator):
        self.starts, self.options, self.ladder = starts, options, ladder
        self.rank, self.together, self.generator = rank, together, generator
        self.lanes = lanes_of(
            starts,
            together=together,
            learning_rate=options.learning_rate,
            optimizer=options.optimizer,
        )
        device = self.lanes[0].parameters[0].device
        self.losses = torch.full((len(starts), options.max_iter), math.nan, device=device)
        self.n_done = 0
        self.live = list(range(len(starts)))
        self.bad_in_a_row = [0] * len(starts)
        self.dropped = {}
        self.runners_up = []

    def step(self, index, iteration, learning_rate):
        """Take a step of every start that is left, and drop some if a rung ends here."""
        state = self.generator.get_state() if len(self.lanes) > 1 else None
        for lane in self.lanes:
            if state is not None:
                # Each start draws what it would draw alone.
                self.generator.set_state(state)
            losses, finite = lane.step(index, iteration, learning_rate, self.options.max_grad_norm)
            self.losses[lane.numbers, iteration] = torch.where(finite, losses, math.nan)
            for number, good in zip(lane.numbers, finite.tolist(), strict=True):
                self.bad_in_a_row[number] = 0 if good else self.bad_in_a_row[number] + 1
        if all(self._is_lost(number) for number in self.live):
            number = self.live[0]
            raise TrainingError(
                f"The gradient was not finite at {self.bad_in_a_row[number]} iterations in a row "
                f"(the last is number {iteration}, loss {losses[0].item():.3g}): lower "
                f"learning_rate (now {self.options.learning_rate:g}) or look for frames in W that "
                f"are orders of magnitude larger than the rest."
            )
        self.n_done = iteration + 1
        for end, n_kept in self.ladder.rungs:
            if end == self.n_done and n_kept < len(self.live):
                self._drop_all_but(n_kept)

    def _is_lost(self, number):
        return self.bad_in_a_row[number] >= min(MAX_BAD_STEPS, self.options.max_iter)

    def _drop_all_but(self, n_kept):
        criteria = self._criteria()
        order = sorted(self.live, key=lambda number: criteria[number]["score"])
        rung = self.ladder.rung_of(self.n_done - 1)
        # Those dropped last, the best of them first, are what the result can be compared with.
        dropped = order[n_kept:]
        self.runners_up = [*dropped, *self.runners_up][:N_RUNNERS_UP]
        for number in self.live:
            self.dropped[number] = {"rung": rung, "n_iter": self.n_done, **criteria[number]}
        self.live = sorted(order[:n_kept])
        lanes = []
        for lane in self.lanes:
            numbers = [number for number in lane.numbers if number in self.live]
            if numbers:
                if numbers != lane.numbers:
                    lane.keep(numbers)
                lanes.append(lane)
            else:
                lane.close()
        self.lanes = lanes

    def _criteria(self):
        window = slice(max(0, self.n_done - LOSS_WINDOW), self.n_done)
        losses = self.losses[self.live, window].nanmean(1).tolist()
        table = {
            number: {"score": loss, "loss": loss}
            for number, loss in zip(self.live, losses, strict=True)
        }
        if self.rank is not None:
            ranked = self.rank(self.live, losses)
            for number, criteria in zip(self.live, ranked, strict=True):
                table[number].update(criteria)
        for number, criteria in table.items():
            if self._is_lost(number) or not math.isfinite(criteria["score"]):
                criteria["score"] = math.inf
        return table

    def finish(self):
        """Leave one start, whatever the reason that the run ended, with parameters of its own."""
        if len(self.live) > 1:
            self._drop_all_but(1)
        for lane in self.lanes:
            lane.close()

    def report(self):
        """Return iterations done and to do, and the best start's loss."""
        losses = self.losses[self.live, self.n_done - 1].tolist()
        # A skipped step has no loss, which min would take for the lowest if it comes first.
        best = min(losses, key=lambda loss: (math.isnan(loss), loss))
        return self.n_done, self.options.max_iter, best

    def stage(self):
        """Return the keyword ``stage`` of progress, if there is something to tell."""
        stage = self.ladder.stage(self.n_done, len(self.live))
        return {"stage": stage} if stage else {}

    def records(self):
        """Return what became of each start: the rung it reached, iterations, loss, criteria."""
        records = []
        for number, start in enumerate(self.starts):
            record = {"seed": start.seed, **self.dropped.get(number, {})}
            if number == self.live[0]:
                window = self.losses[number, max(0, self.n_done - LOSS_WINDOW) : self.n_done]
                rung = self.ladder.rung_of(self.n_done - 1)
                record.update(rung=rung, n_iter=self.n_done, loss=window.nanmean().item())
            records.append({**record, "chosen": number == self.live[0]})
        return records

    def _tensors(self, number):
        """Return what holds the state of a start: its objective if that has buffers of its own."""
        start = self.starts[number]
        return start.objective if isinstance(start.objective, torch.nn.Module) else start.module

    def state_dict(self):
        """Return tensors and plain containers."""
        kept = [*self.live, *self.runners_up]
        return {
            "n_done": self.n_done,
            "losses": self.losses[:, : self.n_done].cpu(),
            "live": self.live,
            "bad_in_a_row": self.bad_in_a_row,
            "dropped": self.dropped,
            "runners_up": self.runners_up,
            "modules": {number: self._tensors(number).state_dict() for number in kept},
            "optimizers": [lane.optimizer.state_dict() for lane in self.lanes],
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state):
        """Restore a state; starts that were dropped stay as they are."""
        for number, tensors in state["modules"].items():
            self._tensors(number).load_state_dict(tensors)
        self.live = state["live"]
        lanes = []
        for lane in self.lanes:
            numbers = [number for number in lane.numbers if number in self.live]
            if numbers:
                lane.keep(numbers)
                lanes.append(lane)
        self.lanes = lanes
        for lane, optimizer in zip(self.lanes, state["optimizers"], strict=True):
            lane.optimizer.load_state_dict(optimizer)
        self.n_done = state["n_done"]
        self.losses[:, : self.n_done] = state["losses"]
        self.bad_in_a_row, self.dropped = state["bad_in_a_row"], state["dropped"]
        self.runners_up = state["runners_up"]
        self.generator.set_state(state["generator"].cpu())
