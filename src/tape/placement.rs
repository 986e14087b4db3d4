//! Assigns tensors to buffers. Tensors whose lifetimes do not overlap share a buffer.

use super::{BufferId, Dispatch, Operand, Tape, Var};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

/// The tensors that can be read after a pass, or written before it.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// All of them: every tensor has its own buffer.
    Everything,
    /// Only these, which the host writes or reads. The others share buffers.
    Only(&'a [Operand]),
}

/// A buffer's size, and whether a kept tensor is in it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    bytes: u64,
    kept: bool,
}

/// The index of the buffer of each activation, gradient and scratch buffer of a tape. `None` for
/// views, and for tensors that are neither used by a launch nor kept.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    slots: Vec<Slot>,
    pub(super) values: Vec<Option<usize>>,
    pub(super) gradients: Vec<Option<usize>>,
    pub(super) buffers: Vec<Option<usize>>,
}

/// The lifetime of a tensor: its first and last launch, or 0 and 0 if no launch uses it.
struct Lifetime {
    operand: Operand,
    bytes: u64,
    used: bool,
    first: usize,
    last: usize,
}

impl Tape {
    /// Assigns all tensors to buffers. Existing buffers, of sizes `given`, are reused. Launches run
    /// in the order forward, backward.
    pub(super) fn placement(&self, keep: Keep<'_>, given: &[u64]) -> Placement {
        let (forward, backward) = (self.forward(), self.backward());
        let launches = forward.iter().chain(&backward).map(|(_, dispatch)| dispatch);
        let mut lifetimes = self.lifetimes(!backward.is_empty(), launches);
        lifetimes.sort_by_key(|lifetime| (lifetime.first, Reverse(lifetime.bytes)));
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
        for lifetime in lifetimes {
            let kept = kept.as_ref().is_none_or(|kept| kept.contains(&lifetime.operand));
            let index = match (kept, lifetime.used) {
                (true, _) => pool.add(lifetime.bytes, true),
                (false, true) => pool.share(&lifetime),
                (false, false) => continue,
            };
            match lifetime.operand {
                Operand::Value(var) => placement.values[var.0] = Some(index),
                Operand::Gradient(var) => placement.gradients[var.0] = Some(index),
                Operand::Buffer(buffer) => placement.buffers[buffer.0] = Some(index),
                other => unreachable!("{other:?} is in an arena"),
            }
        }
        Placement { slots: pool.slots, ..placement }
    }

    /// The lifetimes of all tensors that are not in an arena.
    fn lifetimes<'d>(&self, has_gradients: bool, launches: impl Iterator<Item = &'d Dispatch>) -> Vec<Lifetime> {
        let uses = uses(launches);
        let not_views = || self.activations.iter().enumerate().filter(|(i, activation)| activation.base == Var(*i));
        let values = not_views().map(|(i, a)| (Operand::Value(Var(i)), a.shape.bytes()));
        // The tape of `Tape::only` may use gradients in its forward pass.
        let gradients = not_views()
            .map(|(i, a)| (Operand::Gradient(Var(i)), a))
            .filter(|(gradient, a)| a.needs_gradient && has_gradients || uses.contains_key(gradient))
            .map(|(gradient, a)| (gradient, a.shape.bytes()));
        let buffers = self.buffers.iter().enumerate().map(|(i, b)| (Operand::Buffer(BufferId(i)), b.bytes));
        let lifetime = |(operand, bytes): (Operand, u64)| {
            let used = uses.get(&operand);
            let (first, last) = used.copied().unwrap_or_default();
            Lifetime { operand, bytes: bytes.next_multiple_of(16), used: used.is_some(), first, last }
        };
        values.chain(gradients).chain(buffers).map(lifetime).collect()
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

/// The buffers, while tensors are assigned to them in the order of their first launches.
struct Pool {
    slots: Vec<Slot>,
    /// Number of existing buffers. They come first, and cannot grow.
    given: usize,
    /// Free existing buffers, as (size, index).
    free_given: BTreeSet<(u64, usize)>,
    /// Free new buffers, which can grow, as (size, index).
    free_new: BTreeSet<(u64, usize)>,
    /// Shared buffers in use, as (last launch of their tensor, index).
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

    /// Assigns a tensor to a free buffer, or to a new one, which other tensors may use later.
    fn share(&mut self, lifetime: &Lifetime) -> usize {
        self.release(lifetime.first);
        let index = match self.take(lifetime.bytes) {
            Some(index) => index,
            None => self.add(lifetime.bytes, false),
        };
        self.slots[index].bytes = self.slots[index].bytes.max(lifetime.bytes);
        self.busy.push(Reverse((lifetime.last, index)));
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

    /// Takes the smallest free buffer that is large enough, else the largest one that can grow.
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
    /// Sizes of the new buffers: all but the first `given`.
    pub(super) fn sizes(&self, given: usize) -> impl Iterator<Item = u64> {
        self.slots[given..].iter().map(|slot| slot.bytes)
    }

    /// Whether a buffer may be shared with another program that never runs at the same time.
    pub(super) fn is_shared(&self, index: usize) -> bool {
        !self.slots[index].kept
    }
}
