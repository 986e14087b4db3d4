//! Which tensors share a buffer: those of which one is done with before the other begins.

use super::{Dispatch, Operand, Tape};

/// What must outlive a pass.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Every tensor has a buffer of its own.
    Everything,
    /// These, which the host writes or reads; the rest share buffers.
    Only(&'a [Operand]),
}

/// A buffer: its size, whether the host knows it, and the last launch that uses it so far.
#[derive(Clone, Copy, Debug)]
struct Slot {
    bytes: u64,
    kept: bool,
    last: usize,
    /// It was there before, and cannot grow.
    given: bool,
}

/// A buffer for each activation, gradient and scratch buffer of a tape that a launch uses or that is kept.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    slots: Vec<Slot>,
    pub(super) values: Vec<Option<usize>>,
    pub(super) gradients: Vec<Option<usize>>,
    pub(super) buffers: Vec<Option<usize>>,
}

/// A tensor's first and last launch; a kept one without any counts from the first launch on.
struct Life {
    operand: Operand,
    bytes: u64,
    used: bool,
    first: usize,
    last: usize,
}

impl Tape {
    /// Places all tensors, in `given` buffers of these sizes too. The launches run in the order forward, backward.
    pub(super) fn placement(&self, keep: Keep<'_>, given: &[u64]) -> Placement {
        let (forward, backward) = (self.forward(), self.backward());
        let launches: Vec<&Dispatch> = forward.iter().chain(&backward).map(|(_, dispatch)| dispatch).collect();
        let mut lives = self.lives(!backward.is_empty(), &launches);
        lives.sort_by_key(|life| (life.first, std::cmp::Reverse(life.bytes)));
        let slot = |&bytes: &u64| Slot { bytes, kept: false, last: 0, given: true };
        let mut placement = Placement {
            slots: given.iter().map(slot).collect(),
            values: vec![None; self.activations.len()],
            gradients: vec![None; self.activations.len()],
            buffers: vec![None; self.buffers.len()],
        };
        let mut used = vec![false; given.len()];
        for life in lives {
            let kept = match keep {
                Keep::Everything => true,
                Keep::Only(operands) => operands.contains(&life.operand),
            };
            if !kept && !life.used {
                continue;
            }
            let free = if kept { None } else { placement.free(&life, &mut used) };
            let index = free.unwrap_or_else(|| {
                placement.slots.push(Slot { bytes: life.bytes, kept, last: life.last, given: false });
                used.push(true);
                placement.slots.len() - 1
            });
            match life.operand {
                Operand::Value(var) => placement.values[var.0] = Some(index),
                Operand::Gradient(var) => placement.gradients[var.0] = Some(index),
                Operand::Buffer(buffer) => placement.buffers[buffer.0] = Some(index),
                other => unreachable!("{other:?} lies in an arena"),
            }
        }
        placement
    }

    /// Every tensor that is no arena's, with the launches that it must last for.
    fn lives(&self, has_gradients: bool, launches: &[&Dispatch]) -> Vec<Life> {
        let padded = |bytes: u64| bytes.next_multiple_of(16);
        let values = self.activations.iter().enumerate();
        let values = values.map(|(i, a)| (Operand::Value(super::Var(i)), padded(a.shape.bytes())));
        // A pass of some dispatches alone may use a gradient and have no backward.
        let used = |operand: Operand| launches.iter().any(|d| d.bindings.iter().any(|b| b.operand == operand));
        let gradients = self.activations.iter().enumerate();
        let gradients = gradients.map(|(i, a)| (Operand::Gradient(super::Var(i)), a));
        let wanted = gradients.filter(|(gradient, a)| a.needs_gradient && has_gradients || used(*gradient));
        let gradients = wanted.map(|(gradient, a)| (gradient, padded(a.shape.bytes())));
        let buffers = self.buffers.iter().enumerate().map(|(i, b)| (Operand::Buffer(super::BufferId(i)), b.bytes));
        let life = |(operand, bytes)| {
            let uses = |dispatch: &&&Dispatch| dispatch.bindings.iter().any(|binding| binding.operand == operand);
            let first = launches.iter().position(|dispatch| uses(&dispatch));
            let last = launches.iter().rposition(|dispatch| uses(&dispatch));
            Life { operand, bytes, used: first.is_some(), first: first.unwrap_or(0), last: last.unwrap_or(0) }
        };
        values.chain(gradients).chain(buffers).map(life).collect()
    }
}

impl Placement {
    /// The smallest free slot that is large enough, or else the largest that can grow; it is taken.
    fn free(&mut self, life: &Life, used: &mut [bool]) -> Option<usize> {
        let free = |&i: &usize| !self.slots[i].kept && (!used[i] || self.slots[i].last < life.first);
        let all = || (0..self.slots.len()).filter(free);
        let fitting = all().filter(|&i| self.slots[i].bytes >= life.bytes).min_by_key(|&i| self.slots[i].bytes);
        let growing = || all().filter(|&i| !self.slots[i].given).max_by_key(|&i| self.slots[i].bytes);
        let index = fitting.or_else(growing)?;
        let slot = &mut self.slots[index];
        slot.bytes = slot.bytes.max(life.bytes);
        slot.last = life.last;
        used[index] = true;
        Some(index)
    }

    /// Sizes of the buffers that must be made: all but the `given` ones that came first.
    pub(super) fn sizes(&self, given: usize) -> impl Iterator<Item = u64> {
        self.slots[given..].iter().map(|slot| slot.bytes)
    }

    /// Whether another program, which never runs at the same time, may use a buffer too.
    pub(super) fn is_shared(&self, index: usize) -> bool {
        !self.slots[index].kept
    }
}
