"""Starts of one fit: training several modules side by side, and dropping the worse half."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

# Of C3DPO, the method that trains with it.
_SGD_SETTINGS = {"momentum": 0.9, "weight_decay": 5e-4}


class Start(NamedTuple):
    """One initialisation of a fit.

    Attributes
    ----------
    module : torch.nn.Module
        Trained in place.
    objective : callable
        ``objective(index, iteration) -> loss`` over the parameters of ``module``. To train together
        with others it is a :class:`torch.nn.Module` that holds ``module``. With a method
        ``before_step(iteration)``, that is called first, without gradients.
    seed : int
        What its parameters were drawn with, for the record.
    """

    module: torch.nn.Module
    objective: Callable
    seed: int = 0


class Ladder(NamedTuple):
    """When how many starts are kept: successive halving.

    Attributes
    ----------
    n_starts : int
        Starts of the first rung.
    rungs : tuple of (int, int)
        ``(iteration, n_kept)``: after that many iterations only so many go on, the last time one.
    """

    n_starts: int
    rungs: tuple = ()

    @classmethod
    def climb(cls, n_starts, factor, rung_iter, max_iter):
        """Divide the starts by ``factor`` every ``rung_iter`` iterations until one is left.

        Parameters
        ----------
        n_starts : int
            Starts to begin with.
        factor : int
            What their number is divided by, rounded up.
        rung_iter : int
            Iterations of a rung.
        max_iter : int
            Iterations of the whole run: with fewer than one for each rung, rungs share them.

        Returns
        -------
        Ladder
        """
        kept, n = [], n_starts
        while n > 1:
            n = math.ceil(n / factor)
            kept.append(n)
        # The last start needs iterations of its own.
        rung_iter = max(1, min(rung_iter, max_iter // (len(kept) + 1)))
        ends = [rung_iter * (i + 1) for i in range(len(kept))]
        return cls(n_starts, tuple(zip(ends, kept, strict=True)))

    def rung_of(self, iteration):
        """Return the number of the rung, from 0, that an iteration belongs to."""
        return sum(iteration >= end for end, _ in self.rungs)

    def stage(self, iteration, n_live):
        """Say in words where a run is; empty for a run of one start."""
        if self.n_starts == 1:
            return ""
        rung = self.rung_of(iteration)
        starts = "1 start" if n_live == 1 else f"{n_live} starts"
        return f"rung {rung + 1}/{len(self.rungs) + 1}, {starts}"


class Lane:
    """Starts whose steps are taken in one go: one alone, or several with stacked parameters.

    Several are one function of their stacked parameters by :func:`torch.func.vmap`: every product
    of theirs is one batched product. All see the same frames and draw the same random numbers.

    Parameters
    ----------
    numbers : list of int
        Which starts of the fit these are.
    starts : list of Start
        The starts.
    learning_rate : float
        Of the optimiser, until it is set.
    optimizer : {"adam", "sgd"}, default="adam"
        Which one.
    """

    def __init__(self, numbers, starts, learning_rate, optimizer="adam"):
        self.numbers, self.starts = list(numbers), list(starts)
        self.learning_rate = learning_rate
        self.optimizer_name = optimizer
        self._bind()
        self.optimizer = self._new_optimizer()

    def step(self, index, iteration, learning_rate, max_grad_norm):
        """Take one step for each start; return the losses and where the gradient was
        finite: elsewhere the step was not taken.
        """
        for start in self.starts:
            before_step = getattr(start.objective, "before_step", None)
            if before_step is not None:
                before_step(iteration)
        self.optimizer.zero_grad(set_to_none=True)
        statistics = [buffer.clone() for buffer in self._statistics()]
        losses = self._backward(index, iteration)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms = self._norms(gradients)
        finite = torch.isfinite(norms)
        factors = (max_grad_norm / (norms + 1e-6)).clamp(max=1.0)
        all_finite = bool(finite.all())
        if not all_finite and not bool(finite.any()):
            for buffer, before in zip(self._statistics(), statistics, strict=True):
                buffer.copy_(before)
            return losses, finite
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if len(self.starts) == 1:
            torch._foreach_mul_(gradients, factors[0])
            self.optimizer.step()
            return losses, finite
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))
        if all_finite:
            self.optimizer.step()
            return losses, finite
        with torch.no_grad():
            # The others go on; what is not finite moves neither parameters nor moments. (Adam's
            # count of steps is shared, so that a start is a step ahead after one that it skipped.)
            bad = ~finite
            for gradient in gradients:
                gradient[bad] = 0
            tensors = [*self.parameters, *self._moments()]
            rows = [t[bad].clone() for t in tensors]
            self.optimizer.step()
            for tensor, row in zip([*self.parameters, *self._moments()], rows, strict=False):
                tensor[bad] = row
        return losses, finite

    def _statistics(self):
        """Return the running statistics of batch normalisation, which a bad step would spoil."""
        if len(self.starts) > 1:
            return []
        return [b for b in self.starts[0].module.buffers() if b.is_floating_point()]

    def keep(self, numbers):
        """Go on with some of the starts, moments and all."""
        rows = [self.numbers.index(n) for n in numbers]
        moments = [
            dict(self.optimizer.state[p].items()) if p in self.optimizer.state else {}
            for p in self.parameters
        ]
        stacked = len(self.starts) > 1
        self._release()
        self.numbers = list(numbers)
        self.starts = [self.starts[row] for row in rows]
        self._bind()
        self.optimizer = self._new_optimizer()
        for parameter, state in zip(self.parameters, moments, strict=True):
            if state:
                self.optimizer.state[parameter] = {
                    name: self._rows(value, rows, stacked) if name != "step" else value
                    for name, value in state.items()
                }

    def close(self):
        """Give every module parameters of its own again."""
        self._release()

    # -- how parameters are held
    # -------------------------------------------------------------------------------------

    def _bind(self):
        """Find the parameters; stack those of several starts, each module keeping a view."""
        if len(self.starts) == 1:
            module = self.starts[0].module
            self.parameters = [p for p in module.parameters() if p.requires_grad]
            return
        self._names = [
            name for name, p in self.starts[0].objective.named_parameters() if p.requires_grad
        ]
        self._buffer_names = [name for name, _ in self.starts[0].objective.named_buffers()]
        tables = [dict(s.objective.named_parameters()) for s in self.starts]
        self.parameters = [self._stack([t[name] for t in tables]) for name in self._names]
        for parameter in self.parameters:
            parameter.requires_grad_()
        tables = [dict(s.objective.named_buffers()) for s in self.starts]
        self._buffers = [self._stack([t[name] for t in tables]) for name in self._buffer_names]

    @staticmethod
    def _stack(tensors):
        stacked = torch.stack([t.detach() for t in tensors])
        for row, tensor in zip(stacked, tensors, strict=True):
            tensor.data = row
        return stacked

    def _release(self):
        if len(self.starts) == 1:
            return
        for start in self.starts:
            for tensor in (*start.objective.parameters(), *start.objective.buffers()):
                tensor.data = tensor.data.clone()

    def _rows(self, value, rows, stacked):
        if not stacked:
            return value
        value = value[rows]
        return value if len(rows) > 1 else value[0]

    def _new_optimizer(self):
        if self.optimizer_name == "sgd":
            return torch.optim.SGD(
                self.parameters, lr=self.learning_rate, **_SGD_SETTINGS, fused=True
            )
        return torch.optim.Adam(self.parameters, lr=self.learning_rate, fused=True)

    def _moments(self):
        return [
            value
            for p in self.parameters
            for name, value in self.optimizer.state.get(p, {}).items()
            if name != "step"
        ]

    # -- gradients
    # -------------------------------------------------------------------------------------

    def _backward(self, index, iteration):
        if len(self.starts) == 1:
            loss = self.starts[0].objective(index, iteration)
            loss.backward()
            return loss.detach().reshape(1)
        template = self.starts[0].objective

        def loss_of(parameters, buffers):
            tensors = dict(zip(self._names, parameters, strict=True))
            tensors.update(zip(self._buffer_names, buffers, strict=True))
            return torch.func.functional_call(template, tensors, (index, iteration))

        losses = torch.func.vmap(loss_of, randomness="same")(self.parameters, self._buffers)
        losses.sum().backward()
        return losses.detach()

    def _norms(self, gradients):
        if len(self.starts) == 1:
            return torch.nn.utils.get_total_norm(gradients).reshape(1)
        return sum(g.flatten(1).square().sum(1) for g in gradients).sqrt()


def lanes_of(starts, *, together, learning_rate, optimizer="adam"):
    """Return the lanes that starts train in.

    Parameters
    ----------
    starts : list of Start
        The starts.
    together : bool
        One lane for all of them, or one for each.
    learning_rate : float
        Of the optimisers.
    optimizer : {"adam", "sgd"}, default="adam"
        Which ones.

    Returns
    -------
    list of Lane
    """
    numbers = range(len(starts))
    if together:
        return [Lane(numbers, starts, learning_rate, optimizer)]
    return [
        Lane([n], [start], learning_rate, optimizer)
        for n, start in zip(numbers, starts, strict=True)
    ]
