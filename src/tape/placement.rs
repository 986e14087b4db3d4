//! Which tensors share a buffer: those of which one is done with before the other begins.

use super::{BufferId, Dispatch, Operand, Tape, Var};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

/// What must outlive a pass.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Every tensor has a buffer of its own.
    Everything,
    /// These, which the host writes or reads; the rest share buffers.
    Only(&'a [Operand]),
}

/// A buffer: its size, and whether the host knows it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    bytes: u64,
    kept: bool,
}

/// A buffer for each activation, gradient and scratch buffer of a tape that a launch uses or that is kept. Views have none of their own.
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
        let launches = forward.iter().chain(&backward).map(|(_, dispatch)| dispatch);
        let mut lives = self.lives(!backward.is_empty(), launches);
        lives.sort_by_key(|life| (life.first, Reverse(life.bytes)));
        let kept: Option<HashSet<Operand>> = match keep {
            Keep::Everything => None,
            Keep::Only(operands) => Some(operands.iter().map(|&operand| self.resolved(operand)).collect()),
        };
        let mut pool = Pool::new(given);
        let mut placement = Placement {
            slots: vec![],
            values: vec![None; self.activations.len()],
            gradients: vec![None; self.activations.len()],
            buffers: vec![None; self.buffers.len()],
        };
        for life in lives {
            let kept = kept.as_ref().is_none_or(|kept| kept.contains(&life.operand));
            let index = match (kept, life.used) {
                (true, _) => pool.add(life.bytes, true),
                (false, true) => pool.share(&life),
                (false, false) => continue,
            };
            match life.operand {
                Operand::Value(var) => placement.values[var.0] = Some(index),
                Operand::Gradient(var) => placement.gradients[var.0] = Some(index),
                Operand::Buffer(buffer) => placement.buffers[buffer.0] = Some(index),
                other => unreachable!("{other:?} lies in an arena"),
            }
        }
        Placement { slots: pool.slots, ..placement }
    }

    /// Every tensor that is no arena's, with the launches that it must last for.
    fn lives<'d>(&self, has_gradients: bool, launches: impl Iterator<Item = &'d Dispatch>) -> Vec<Life> {
        let uses = uses(launches);
        let own = || self.activations.iter().enumerate().filter(|(i, activation)| activation.base == Var(*i));
        let values = own().map(|(i, a)| (Operand::Value(Var(i)), a.shape.bytes()));
        // A pass of some dispatches alone may use a gradient and have no backward.
        let gradients = own()
            .map(|(i, a)| (Operand::Gradient(Var(i)), a))
            .filter(|(gradient, a)| a.needs_gradient && has_gradients || uses.contains_key(gradient))
            .map(|(gradient, a)| (gradient, a.shape.bytes()));
        let buffers = self.buffers.iter().enumerate().map(|(i, b)| (Operand::Buffer(BufferId(i)), b.bytes));
        let life = |(operand, bytes): (Operand, u64)| {
            let used = uses.get(&operand);
            let (first, last) = used.copied().unwrap_or_default();
            Life { operand, bytes: bytes.next_multiple_of(16), used: used.is_some(), first, last }
        };
        values.chain(gradients).chain(buffers).map(life).collect()
    }
}

/// The first and the last launch that uses each operand.
fn uses<'d>(launches: impl Iterator<Item = &'d Dispatch>) -> HashMap<Operand, (usize, usize)> {
    let mut uses = HashMap::new();
    for (i, dispatch) in launches.enumerate() {
        for binding in &dispatch.bindings {
            uses.entry(binding.operand).or_insert((i, i)).1 = i;
        }
    }
    uses
}

/// Buffers while tensors are placed, in the order of their first launches.
struct Pool {
    slots: Vec<Slot>,
    /// How many were there before, and cannot grow.
    given: usize,
    /// Free buffers by size, then index: those that cannot grow.
    free_given: BTreeSet<(u64, usize)>,
    /// Free buffers by size, then index: those that can grow.
    free_new: BTreeSet<(u64, usize)>,
    /// The last launch of each tensor that was placed, and its buffer, until that is free.
    busy: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Pool {
    fn new(given: &[u64]) -> Self {
        Self {
            slots: given.iter().map(|&bytes| Slot { bytes, kept: false }).collect(),
            given: given.len(),
            free_given: given.iter().enumerate().map(|(i, &bytes)| (bytes, i)).collect(),
            free_new: BTreeSet::new(),
            busy: BinaryHeap::new(),
        }
    }

    fn add(&mut self, bytes: u64, kept: bool) -> usize {
        self.slots.push(Slot { bytes, kept });
        self.slots.len() - 1
    }

    /// A free buffer, or a new one, for a tensor that others may follow.
    fn share(&mut self, life: &Life) -> usize {
        self.release(life.first);
        let index = match self.take(life.bytes) {
            Some(index) => index,
            None => self.add(life.bytes, false),
        };
        self.slots[index].bytes = self.slots[index].bytes.max(life.bytes);
        self.busy.push(Reverse((life.last, index)));
        index
    }

    /// Frees the buffers of tensors whose last launch comes before `launch`.
    fn release(&mut self, launch: usize) {
        while let Some(&Reverse((last, index))) = self.busy.peek()
            && last < launch
        {
            self.busy.pop();
            let free = if index < self.given { &mut self.free_given } else { &mut self.free_new };
            free.insert((self.slots[index].bytes, index));
        }
    }

    /// Takes the smallest free buffer that is large enough, or else the largest that can grow.
    fn take(&mut self, bytes: u64) -> Option<usize> {
        let fitting = |free: &BTreeSet<(u64, usize)>| free.range((bytes, 0)..).next().copied();
        let fitting = [&self.free_given, &self.free_new].into_iter().filter_map(fitting).min();
        let found = fitting.or_else(|| self.free_new.last().copied())?;
        self.free_given.remove(&found);
        self.free_new.remove(&found);
        Some(found.1)
    }
}

impl Placement {
    /// Sizes of the buffers that must be made: all but the `given` ones that came first.
    pub(super) fn sizes(&self, given: usize) -> impl Iterator<Item = u64> {
        self.slots[given..].iter().map(|slot| slot.bytes)
    }

    /// Whether another program, which never runs at the same time, may use a buffer too.
    pub(super) fn is_shared(&self, index: usize) -> bool {
        !self.slots[index].kept
    }
}
