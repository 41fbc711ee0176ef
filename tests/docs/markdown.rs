//! Markdown files of the repository and their fenced blocks.

use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// One fenced block: its language and its lines.
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    pub(crate) lines: Vec<&'a str>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README, everything in `docs/` and the README of every policy.
pub(crate) fn pages() -> Vec<Page> {
    let mut paths = vec![root().join("README.md")];
    paths.extend(
        entries("docs")
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    paths.extend(entries("policies").into_iter().map(|folder| folder.join("README.md")));
    paths.into_iter().map(Page::read).collect()
}

/// What is in a folder of the repository, sorted.
pub(crate) fn entries(folder: &str) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths
}

impl Page {
    pub(crate) fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    open = Some(Block {
                        language,
                        lines: Vec::new(),
                    });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.lines.push(line);
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{} has a block without an end", self.path.display());
        blocks
    }
}
