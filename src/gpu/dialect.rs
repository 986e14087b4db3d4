//! The parts of a shader that differ between devices.

/// What a kernel loads and stores as its `Quad`, four floats that lie together in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedLoad {
    /// `vec4<f32>`, which every device has.
    Vec4,
    /// `vec2<u64>`, two 64-bit words: faster on drivers that compute on the processor.
    U64x2,
}

/// How eight neighbours come by the quads that all of them need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubgroupShare {
    /// Each loads all of them, as every device can.
    None,
    /// Each loads a quarter, and takes the rest from its three neighbours' registers: subgroups of at least four.
    Of4,
    /// Each loads an eighth: subgroups of at least eight.
    Of8,
}

/// What a shader says whose eight neighbours share loads.
pub(super) const SHARING: &str = "shared_item(";

/// Which form of each the kernels of a device take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Loads and stores.
    pub packed_load: PackedLoad,
    /// What neighbours share.
    pub subgroup_share: SubgroupShare,
}

impl Dialect {
    /// What every device understands.
    pub const PLAIN: Self = Self { packed_load: PackedLoad::Vec4, subgroup_share: SubgroupShare::None };

    /// Dialects that hold every form between them.
    pub const ALL: [Self; 3] = [
        Self::PLAIN,
        Self { packed_load: PackedLoad::U64x2, subgroup_share: SubgroupShare::Of4 },
        Self { packed_load: PackedLoad::U64x2, subgroup_share: SubgroupShare::Of8 },
    ];

    /// What a shader may say, and the WGSL that then stands before it.
    fn parts(self) -> [(&'static str, &'static str); 2] {
        let quads = match self.packed_load {
            PackedLoad::Vec4 => include_str!("../../shaders/quad.wgsl"),
            PackedLoad::U64x2 => include_str!("../../shaders/quad_in_u64.wgsl"),
        };
        let lanes = match self.subgroup_share {
            SubgroupShare::None => include_str!("../../shaders/subgroup_share.wgsl"),
            SubgroupShare::Of4 => include_str!("../../shaders/subgroup_share_of_4.wgsl"),
            SubgroupShare::Of8 => include_str!("../../shaders/subgroup_share_of_8.wgsl"),
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
