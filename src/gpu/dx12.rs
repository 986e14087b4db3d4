//! The compiler of kernels for DX12: DXC if its library is next to the program, else FXC, which is
//! part of Windows.
//!
//! FXC is slow with long kernels. DXC is not, but Windows does not contain it. Its library is
//! searched in no other place, so that a file of this name in some directory is never loaded.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// The environment variable that chooses the compiler.
const VARIABLE: &str = "LERAC_DX12_COMPILER";

/// The library that contains DXC.
const LIBRARY: &str = "dxcompiler.dll";

/// A compiler of HLSL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compiler {
    /// The library at this path.
    Dxc(PathBuf),
    /// The compiler of Windows.
    Fxc,
}

impl Compiler {
    /// The compiler that `LERAC_DX12_COMPILER` names, `dxc` or `fxc`. If it is not set, DXC if the
    /// library is there. Other systems than Windows have no DX12, and the variable is not read.
    ///
    /// # Errors
    /// [`Error::Option`] for another name, or for DXC without its library.
    pub(super) fn choose() -> Result<Self> {
        if !cfg!(windows) {
            return Ok(Self::Fxc);
        }
        let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(LIBRARY)));
        let requested = std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().trim().to_lowercase());
        Self::named(requested.as_deref().unwrap_or_default(), beside.filter(|library| library.is_file()))
    }

    /// The compiler called `name`. `library` is the path of DXC, if it exists.
    fn named(name: &str, library: Option<PathBuf>) -> Result<Self> {
        match (name, library) {
            ("" | "dxc", Some(library)) => Ok(Self::Dxc(library)),
            ("" | "fxc", _) => Ok(Self::Fxc),
            ("dxc", None) => Err(Error::option(
                VARIABLE,
                format!("dxc needs {LIBRARY} next to the program; put it there, or use fxc"),
            )),
            _ => Err(Error::option(VARIABLE, format!("expected dxc or fxc, found {name:?}"))),
        }
    }

    /// The name in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Dxc(_) => "DXC",
            Self::Fxc => "FXC",
        }
    }

    /// The corresponding option of wgpu.
    pub(super) fn for_wgpu(&self) -> wgpu::Dx12Compiler {
        match self {
            Self::Dxc(library) => wgpu::Dx12Compiler::DynamicDxc { dxc_path: library.to_string_lossy().into_owned() },
            Self::Fxc => wgpu::Dx12Compiler::Fxc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compiler, VARIABLE};
    use crate::error::Error;
    use std::path::PathBuf;

    #[test]
    fn dxc_is_the_default_if_its_library_exists() {
        let library = PathBuf::from("dxcompiler.dll");
        let named = |name, exists: bool| Compiler::named(name, exists.then(|| library.clone()));
        for name in ["", "dxc"] {
            assert_eq!(named(name, true).unwrap(), Compiler::Dxc(library.clone()));
        }
        for (name, exists) in [("", false), ("fxc", false), ("fxc", true)] {
            assert_eq!(named(name, exists).unwrap(), Compiler::Fxc);
        }
        for (name, exists, told) in [("dxc", false, "dxcompiler.dll"), ("d3d", true, "\"d3d\"")] {
            let Error::Option { option, message } = named(name, exists).unwrap_err() else { panic!("{name}") };
            assert_eq!(option, VARIABLE);
            assert!(message.contains(told), "{message}");
        }
    }
}
