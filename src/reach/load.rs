//! Manifests of files, folders and stdin to an [`Inventory`]. Many files are read at once, and large ones in pieces, so that
//! no more of their text is in memory than is being read.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::facts::{Fact, Reading};
use super::gather::gather;
use super::inventory::Inventory;
use super::objects::{Chunk, Contents, chunks};
use super::origin::Origin;
use crate::answer::offline::folder::{self, File, Listed, Unreadable};
use crate::answer::offline::{Problem, Problems};

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// A file or folder cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(std::io::Error),
    /// There is nothing to read.
    #[error("no *.yaml, *.yml or *.json in {}: name a file, a folder that holds some, or - for stdin", .0.display())]
    Empty(PathBuf),
    /// Manifests are wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// How many bytes are read at a time: a piece of a large file, or some small ones.
pub(super) const PIECE: usize = 1 << 19;

/// Something to read.
pub(super) enum Source {
    /// A file.
    Listed(Listed),
    /// What came on stdin.
    Text(File),
}

/// Reads files, folders (`*.yaml`, `*.yml` and `*.json` below them) and `-` for stdin.
pub fn load(paths: &[PathBuf], reading: &Reading, stdin: impl Read) -> Result<Inventory, NotLoaded> {
    load_in_pieces(paths, reading, stdin, PIECE)
}

pub(super) fn load_in_pieces(
    paths: &[PathBuf],
    reading: &Reading,
    mut stdin: impl Read,
    size: usize,
) -> Result<Inventory, NotLoaded> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            stdin.read_to_string(&mut text).map_err(NotLoaded::Stdin)?;
            let name = "<stdin>".to_owned();
            sources.push(Source::Text(File { name, text }));
            continue;
        }
        let found = folder::list(path)?;
        if found.is_empty() {
            return Err(NotLoaded::Empty(path.clone()));
        }
        sources.extend(found.into_iter().map(Source::Listed));
    }
    if let Some(gathered) = gather(&sources, reading, size) {
        return gathered;
    }
    // Not as programs write it: all of the text together says what it means, or what is wrong with it.
    let mut files = Vec::new();
    for source in sources {
        files.push(match source {
            Source::Listed(listed) => listed.read()?,
            Source::Text(file) => file,
        });
    }
    Ok(of_files(files, reading)?)
}

/// Reads these.
pub fn of_files(files: Vec<File>, reading: &Reading) -> Result<Inventory, Problems> {
    Inventory::of(facts_of(files, reading)?, reading.addresses)
}

/// What these say, in their order; everything that is wrong with them is told at once.
pub(super) fn facts_of(files: Vec<File>, reading: &Reading) -> Result<Vec<(Fact, Origin)>, Problems> {
    let parts: Vec<Chunk> = files.into_iter().map(Arc::new).flat_map(|file| chunks(&file)).collect();
    let (mut facts, mut problems) = (Vec::new(), Vec::new());
    for found in read_parts(&parts, reading) {
        match found {
            Ok(found) => facts.push(found),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(facts)
    } else {
        Err(Problems(problems))
    }
}

pub(super) type Found = Result<(Fact, Origin), Problem>;

/// What the parts say, in their order; each processor reads about as many bytes.
fn read_parts(parts: &[Chunk], reading: &Reading) -> Vec<Found> {
    let total: usize = parts.iter().map(Chunk::size).sum();
    let share = (total / processors()).max(1 << 20);
    let mut shares = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (position, part) in parts.iter().enumerate() {
        size += part.size();
        if size >= share {
            shares.push(&parts[start..=position]);
            (start, size) = (position + 1, 0);
        }
    }
    shares.push(&parts[start..]);
    thread::scope(|scope| {
        let read = |share| scope.spawn(move || read_share(share, reading));
        let running: Vec<_> = shares.into_iter().map(read).collect();
        let ended = running.into_iter().map(|thread| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.flatten().collect()
    })
}

fn read_share(parts: &[Chunk], reading: &Reading) -> Vec<Found> {
    let mut found = Vec::new();
    for part in parts {
        read_part(part, reading, &mut found);
    }
    found
}

pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What a whole file says.
pub(super) fn read_file(file: File, reading: &Reading, found: &mut Vec<Found>) {
    for part in chunks(&Arc::new(file)) {
        read_part(&part, reading, found);
    }
}

fn read_part(part: &Chunk, reading: &Reading, found: &mut Vec<Found>) {
    tell(part, part.contents(), reading, found);
}

/// What the objects of a part say.
pub(super) fn tell(part: &Chunk, contents: Result<Contents, Problem>, reading: &Reading, found: &mut Vec<Found>) {
    match contents {
        Ok(Contents { objects, letter }) => {
            let first = found.len();
            found.extend(objects.into_iter().map(|object| {
                let fact = reading.read(&object)?;
                Ok((fact, object.origin))
            }));
            let says = |found: &Found| !matches!(found, Ok((Fact::Silent | Fact::Stranger(_), _)));
            if let Some(letter) = letter.filter(|_| found[first..].iter().any(says)) {
                found.push(Ok((Fact::Noted(letter), part.origin())));
            }
        }
        Err(problem) => found.push(match part.excuse(&problem) {
            Some(why) => Ok((Fact::Stranger(why), part.origin())),
            None => Err(problem),
        }),
    }
}
