//! The parts of a shader that differ between devices. They are prepended to the shader's source.

/// The type `Quad`, with which a kernel loads and stores four consecutive floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedLoad {
    /// `vec4<f32>`, which every device supports.
    Vec4,
    /// `vec2<u64>`, two 64-bit words: faster on software adapters.
    U64x2,
}

/// How the eight invocations of a workgroup load the quads that all of them need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubgroupShare {
    /// Every invocation loads all of them. Every device supports it.
    None,
    /// An invocation loads a quarter of them, and shuffles the rest from the other three.
    /// Needs subgroups of at least four.
    Of4,
    /// An invocation loads an eighth of them, and shuffles the rest from the other seven.
    /// Needs subgroups of at least eight.
    Of8,
}

/// A shader whose source contains this text shares loads between invocations.
pub(super) const SHARED_LOAD_CALL: &str = "shared_item(";

/// The variant of each device-dependent part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How four floats are loaded and stored.
    pub packed_load: PackedLoad,
    /// How invocations share loads.
    pub subgroup_share: SubgroupShare,
}

impl Dialect {
    /// The dialect that every device supports.
    pub const PLAIN: Self = Self { packed_load: PackedLoad::Vec4, subgroup_share: SubgroupShare::None };

    /// Dialects that together contain every variant of every part.
    pub const ALL: [Self; 3] = [
        Self::PLAIN,
        Self { packed_load: PackedLoad::U64x2, subgroup_share: SubgroupShare::Of4 },
        Self { packed_load: PackedLoad::U64x2, subgroup_share: SubgroupShare::Of8 },
    ];

    /// Pairs of a text that a shader may contain, and the WGSL that it then needs.
    fn parts(self) -> [(&'static str, &'static str); 2] {
        let quads = match self.packed_load {
            PackedLoad::Vec4 => include_str!("../../shaders/quad.wgsl"),
            PackedLoad::U64x2 => include_str!("../../shaders/quad_in_u64.wgsl"),
        };
        let sharing = match self.subgroup_share {
            SubgroupShare::None => include_str!("../../shaders/subgroup_share.wgsl"),
            SubgroupShare::Of4 => include_str!("../../shaders/subgroup_share_of_4.wgsl"),
            SubgroupShare::Of8 => include_str!("../../shaders/subgroup_share_of_8.wgsl"),
        };
        [("Quad", quads), (SHARED_LOAD_CALL, sharing)]
    }

    /// The definitions that a shader's `source` uses but does not contain, to prepend to it.
    pub fn before(self, source: &str) -> String {
        let used = self.parts().into_iter().filter(|(name, _)| source.contains(name));
        used.map(|(_, text)| format!("{text}\n")).collect()
    }

    /// The WGSL of all parts.
    pub fn text(self) -> String {
        self.parts().map(|(_, text)| text).concat()
    }
}
