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
    /// Each loads a quarter, and takes the rest from its three neighbours' registers: subgroups of at least four.
    Fours,
    /// Each loads an eighth: subgroups of at least eight.
    Eights,
}

/// What a shader says whose eight neighbours share loads.
pub(super) const SHARING: &str = "one_of(";

/// Which form of each the kernels of a device take.
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

    /// Dialects that hold every form between them.
    pub const ALL: [Self; 3] = [
        Self::PLAIN,
        Self { quads: Quads::Words, lanes: Lanes::Fours },
        Self { quads: Quads::Words, lanes: Lanes::Eights },
    ];

    /// What a shader may say, and the WGSL that then stands before it.
    fn parts(self) -> [(&'static str, &'static str); 2] {
        let quads = match self.quads {
            Quads::Floats => include_str!("../../shaders/quad.wgsl"),
            Quads::Words => include_str!("../../shaders/quad_in_words.wgsl"),
        };
        let lanes = match self.lanes {
            Lanes::Alone => include_str!("../../shaders/eight.wgsl"),
            Lanes::Fours => include_str!("../../shaders/eight_in_fours.wgsl"),
            Lanes::Eights => include_str!("../../shaders/eight_in_eights.wgsl"),
        };
        [("Quad", quads), (SHARING, lanes)]
    }

    /// The WGSL that stands before a shader's text `source`: what it says but does not define.
    pub fn before(self, source: &str) -> String {
        let said = self.parts().into_iter().filter(|(name, _)| source.contains(name));
        said.map(|(_, text)| format!("{text}\n")).collect()
    }

    /// All of it.
    pub fn text(self) -> String {
        self.parts().map(|(_, text)| text).concat()
    }
}
