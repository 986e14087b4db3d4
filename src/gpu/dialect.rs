//! The parts of a shader that differ between devices.

/// What a kernel loads and stores as its `Quad`, four floats that lie together in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quads {
    /// `vec4<f32>`, which every device has.
    Floats,
    /// `vec2<u64>`, two 64-bit words: faster on drivers that compute on the processor.
    Words,
}

/// How eight neighbours come by the quads that all of them need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Each loads all of them, as every device can.
    Alone,
    /// Each loads an eighth and the others take it from its registers: subgroups of at least eight, in the order of invocations.
    Together,
}

/// A form of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Loads and stores.
    pub quads: Quads,
    /// What neighbours share.
    pub lanes: Lanes,
}

impl Dialect {
    /// What every device understands.
    pub const PLAIN: Self = Self { quads: Quads::Floats, lanes: Lanes::Alone };

    /// One with every form's text.
    pub const ALL: [Self; 2] = [Self::PLAIN, Self { quads: Quads::Words, lanes: Lanes::Together }];

    /// The WGSL that stands before a shader's text `source`: what it names but does not define.
    pub fn before(self, source: &str) -> String {
        let quads = match self.quads {
            Quads::Floats => include_str!("../../shaders/quad.wgsl"),
            Quads::Words => include_str!("../../shaders/quad_in_words.wgsl"),
        };
        let lanes = match self.lanes {
            Lanes::Alone => include_str!("../../shaders/eight.wgsl"),
            Lanes::Together => include_str!("../../shaders/eight_in_subgroup.wgsl"),
        };
        let named = [("Quad", quads), ("one_of(", lanes)].into_iter().filter(|(name, _)| source.contains(name));
        named.map(|(_, text)| format!("{text}\n")).collect()
    }

    /// Both texts, whatever a shader names.
    pub fn text(self) -> String {
        self.before("Quad one_of(")
    }
}
