//! Where a data set lies on disk.

use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};

/// Files that are looked for.
pub(super) struct Wanted<'a> {
    /// The set's name, and that of the folder it usually lies in.
    pub name: &'a str,
    /// The folder that its archive unpacks to, if it comes as one.
    pub archive: Option<&'a str>,
    /// Any of these shows that the set is there.
    pub files: &'a [&'a str],
    /// How to get it.
    pub remedy: &'a str,
}

impl Wanted<'_> {
    /// The set's own folder under `root`, and what its archive unpacks to there.
    fn folders(&self, root: &Path) -> Vec<PathBuf> {
        let own = root.join(self.name);
        let archive = |parent: &Path| self.archive.map(|folder| parent.join(folder));
        archive(&own).into_iter().chain([own.clone()]).chain(archive(root)).collect()
    }

    /// Every place to look at: `dir`, else `LERAC_DATA` and the usual ones. A folder of the set's own goes before its parent,
    /// which may hold another set.
    fn places(&self, dir: Option<&Path>) -> Vec<PathBuf> {
        let environment = || env::var_os("LERAC_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
        let named = dir.map(Path::to_owned).or_else(environment);
        let usual = ["data", "/usr/share/datasets"].map(Path::new);
        let mut places: Vec<PathBuf> =
            named.iter().flat_map(|root| [self.folders(root), vec![root.clone()]].concat()).collect();
        if dir.is_none() {
            places.extend(usual.iter().flat_map(|root| self.folders(root)));
        }
        places
    }

    /// The first place that holds one of the files.
    ///
    /// # Errors
    /// [`Error::Setting`] with all places looked at and the remedy.
    pub fn find(&self, dir: Option<&Path>) -> Result<PathBuf> {
        let places = self.places(dir);
        let holds = |place: &&PathBuf| self.files.iter().any(|file| place.join(file).is_file());
        places.iter().find(holds).cloned().ok_or_else(|| {
            let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            let (field, name) = (if dir.is_some() { "data_dir" } else { "data" }, self.name);
            let (files, looked) = (self.files.join(" or "), looked.join(", "));
            Error::setting(field, format!("no {name}: there is no {files} in {looked}; {}", self.remedy))
        })
    }
}
