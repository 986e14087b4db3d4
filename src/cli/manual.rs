//! `lerac man` and `lerac completions`.

use super::{OverwriteArgs, command, create_dir, print};
use crate::error::{Error, Result};
use crate::files::{Overwrite, write_whole};
use clap::Args;
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// Options of `lerac man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Directory of the pages, such as /usr/local/share/man/man1
    dir: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Options of `lerac completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The page of a command, in the format of `man`.
fn page(command: clap::Command) -> Vec<u8> {
    let mut page = vec![];
    clap_mangen::Man::new(command).render(&mut page).expect("memory takes every byte");
    page
}

/// Writes a page for lerac, and one for each of its commands.
pub(super) fn pages(args: &ManArgs) -> Result<()> {
    let mut all = command();
    // Sets the names of the pages, such as lerac-train.
    all.build();
    let of = |command: &clap::Command| {
        let name = command.get_display_name().unwrap_or(command.get_name());
        (format!("{name}.1"), page(command.clone()))
    };
    let commands = all.get_subcommands().filter(|command| command.get_name() != "help");
    let pages: Vec<_> = std::iter::once(&all).chain(commands).map(of).collect();
    check(&args.dir, &pages, args.overwrite.overwrite)?;
    create_dir(&args.dir)?;
    for (file, text) in &pages {
        write_whole(&args.dir.join(file), text)?;
    }
    print(&format!("{} pages in {}", pages.len(), args.dir.display()));
    Ok(())
}

/// Refuses to replace files, unless it is allowed.
fn check(dir: &Path, pages: &[(String, Vec<u8>)], allowed: bool) -> Result<()> {
    let overwrite = Overwrite { allowed, inputs: vec![] };
    pages.iter().try_for_each(|(file, _)| {
        overwrite.check_file("dir", &dir.join(file)).map_err(|error| match error {
            Error::Setting { message, .. } => Error::option("DIR", message),
            other => other,
        })
    })
}

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut text = vec![];
    let mut all = command();
    let name = all.get_name().to_owned();
    clap_complete::generate(args.shell, &mut all, name, &mut text);
    print(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
