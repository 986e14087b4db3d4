//! Finds the files of a data set on disk.

use super::Source;
#[cfg(all(feature = "audio", feature = "records"))]
use super::audio::SOUND_FILES;
#[cfg(feature = "records")]
use super::{class_folders::folders_read, pictures::IMAGE_FILES};
use crate::error::{Error, Result};
use crate::files::{exists, is_file};
use std::env;
use std::path::{Path, PathBuf};

/// The files of a data set.
pub(super) struct DataFiles<'a> {
    /// The name of the set, and of its usual folder.
    pub name: &'a str,
    /// The folder in the set's archive, if the set is published as an archive.
    pub archive: Option<&'a str>,
    /// Other names of its folder.
    pub also: &'a [&'a str],
    /// The set is found if one of these files exists.
    pub files: &'a [&'a str],
    /// How to get the set, for the error message.
    pub how_to_get: &'a str,
    /// Files of the set that are not read, each with what to do.
    pub other_forms: &'a [(&'a str, &'a str)],
}

/// The directory of all data sets that the environment names.
fn from_environment() -> Option<PathBuf> {
    env::var_os("LERAC_DATA").filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl Source<'_> {
    /// The directories whose files the set is read from, as far as options and environment name
    /// them.
    #[cfg(feature = "records")]
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let Some(root) = self.dir.map(Path::to_owned).or_else(from_environment) else { return vec![] };
        match self.name {
            "shapes" => vec![],
            "imagefolder" => folders_read(&root, &IMAGE_FILES),
            #[cfg(feature = "audio")]
            "audiofolder" => folders_read(&root, &SOUND_FILES),
            _ => vec![root],
        }
    }
}

impl DataFiles<'_> {
    /// The folders under `root` in which the set may be: its own folder and that of its archive.
    fn folders(&self, root: &Path) -> Vec<PathBuf> {
        let own = root.join(self.name);
        let archive = |parent: &Path| self.archive.map(|folder| parent.join(folder));
        let also = self.also.iter().map(|folder| root.join(folder));
        archive(&own).into_iter().chain([own.clone()]).chain(archive(root)).chain(also).collect()
    }

    /// All directories to search: `dir` if it is given, otherwise `LERAC_DATA` and the usual ones.
    /// The folder of the set is searched before its parent, which may hold another set.
    fn candidates(&self, dir: Option<&Path>) -> Vec<PathBuf> {
        let given = dir.map(Path::to_owned).or_else(from_environment);
        let usual = ["data"].into_iter().chain(cfg!(unix).then_some("/usr/share/datasets")).map(Path::new);
        let mut candidates: Vec<PathBuf> =
            given.iter().flat_map(|root| [self.folders(root), vec![root.clone()]].concat()).collect();
        if dir.is_none() {
            candidates.extend(usual.flat_map(|root| self.folders(root)));
        }
        candidates
    }

    /// The first directory that holds one of the files.
    ///
    /// # Errors
    /// [`Error::Setting`] with all directories searched, and how to get the set.
    pub fn find(&self, dir: Option<&Path>) -> Result<PathBuf> {
        let candidates = self.candidates(dir);
        let holds = |dir: &&PathBuf| self.files.iter().any(|file| is_file(&dir.join(file)));
        candidates.iter().find(holds).cloned().ok_or_else(|| {
            let searched: Vec<_> = candidates.iter().map(|dir| dir.display().to_string()).collect();
            let (field, name) = (if dir.is_some() { "data_dir" } else { "data" }, self.name);
            let other = self.other_forms.iter().find_map(|(file, advice)| {
                let path = candidates.iter().map(|dir| dir.join(file)).find(|path| exists(path))?;
                Some(format!("{name}: {} {advice}", path.display()))
            });
            let (files, searched) = (self.files.join(" or "), searched.join(", "));
            let message = || format!("{name} not found: no {files} in {searched}; {}", self.how_to_get);
            Error::setting(field, other.unwrap_or_else(message))
        })
    }
}
