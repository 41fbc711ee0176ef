//! What many sources say, read at once by all processors and put together in their order as it comes, so that what is read
//! is let go of at once.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::cut::{NotCut, Piece, cut};
use super::facts::Reading;
use super::inventory::{Gathering, Inventory};
use super::load::{Found, NotLoaded, Source, processors, read_file, tell};
use super::objects::Contents;
use crate::answer::offline::Problems;
use crate::answer::offline::folder::{File, Listed, Unreadable};

/// Something to read, by one processor.
enum Work<'s> {
    /// A piece of what is called so.
    Piece(&'s str, Piece),
    /// Small files.
    Files(Vec<&'s Listed>),
}

/// What came of it.
enum Done {
    Found(Vec<Found>),
    Unreadable(Unreadable),
    /// It is not written as it seemed to be.
    Irregular,
}

/// What all of them say, each read at most `size` bytes at a time; none where one of them has to be read whole.
pub(super) fn gather(sources: &[Source], reading: &Reading, size: usize) -> Option<Result<Inventory, NotLoaded>> {
    let irregular = AtomicBool::new(false);
    thread::scope(|scope| {
        // Nobody hurries ahead: what waits to be read is in memory.
        let (given, taken) = sync_channel(processors());
        let taken = Arc::new(Mutex::new(taken));
        let (done, results) = channel();
        for _ in 0..processors() {
            let (taken, done) = (Arc::clone(&taken), done.clone());
            scope.spawn(move || work(&taken, &done, reading));
        }
        drop(taken);
        let giver = Giver {
            given,
            done,
            size,
            number: 0,
            irregular: &irregular,
        };
        scope.spawn(move || giver.give(sources));
        put_together(&results, reading, &irregular)
    })
}

/// Puts together what comes, in the order in which it was given.
fn put_together(
    results: &Receiver<(usize, Done)>,
    reading: &Reading,
    irregular: &AtomicBool,
) -> Option<Result<Inventory, NotLoaded>> {
    let (mut gathering, mut problems) = (Gathering::new(reading.addresses), Vec::new());
    let mut unreadable = None;
    let (mut early, mut next) = (BTreeMap::new(), 0_usize);
    for (number, done) in results {
        early.insert(number, done);
        while let Some(done) = early.remove(&next) {
            next += 1;
            match done {
                Done::Irregular => irregular.store(true, Ordering::Relaxed),
                Done::Unreadable(error) => {
                    unreadable.get_or_insert(error);
                }
                Done::Found(found) => {
                    for found in found {
                        match found {
                            Ok((fact, origin)) => gathering.add(fact, origin),
                            Err(problem) => problems.push(problem),
                        }
                    }
                }
            }
        }
    }
    if irregular.load(Ordering::Relaxed) {
        return None;
    }
    Some(match unreadable {
        Some(unreadable) => Err(unreadable.into()),
        None if !problems.is_empty() => Err(Problems(problems).into()),
        None => gathering.finish().map_err(NotLoaded::from),
    })
}

/// Takes the sources apart.
struct Giver<'s> {
    given: SyncSender<(usize, Work<'s>)>,
    done: Sender<(usize, Done)>,
    size: usize,
    number: usize,
    irregular: &'s AtomicBool,
}

impl<'s> Giver<'s> {
    fn give(mut self, sources: &'s [Source]) {
        // Whoever wants no more has said so already.
        let _given = self.all(sources);
    }

    fn all(&mut self, sources: &'s [Source]) -> Result<(), NotCut> {
        let (mut small, mut bytes) = (Vec::new(), 0);
        for source in sources {
            match source {
                Source::Listed(listed) if listed.bytes < self.size as u64 => {
                    small.push(listed);
                    bytes += listed.bytes;
                    if bytes >= self.size as u64 {
                        self.work(Work::Files(mem::take(&mut small)))?;
                        bytes = 0;
                    }
                }
                _ => {
                    self.work(Work::Files(mem::take(&mut small)))?;
                    bytes = 0;
                    self.pieces(source)?;
                }
            }
        }
        self.work(Work::Files(small))
    }

    fn pieces(&mut self, source: &'s Source) -> Result<(), NotCut> {
        let size = self.size;
        let outcome = match source {
            Source::Text(File { name, text }) => cut(text.as_bytes(), size, &mut |piece| self.piece(name, piece)),
            Source::Listed(listed) => match listed.open() {
                Ok(file) => cut(file, size, &mut |piece| self.piece(&listed.name, piece)),
                Err(unreadable) => return self.told(Done::Unreadable(unreadable)),
            },
        };
        match (outcome, source) {
            (Err(NotCut::Unreadable(error)), Source::Listed(listed)) => {
                self.told(Done::Unreadable(listed.unreadable(error)))
            }
            (Err(NotCut::Irregular(_)), _) => self.told(Done::Irregular),
            (outcome, _) => outcome,
        }
    }

    fn piece(&mut self, name: &'s str, piece: Piece) -> Result<(), NotCut> {
        self.work(Work::Piece(name, piece))
    }

    fn work(&mut self, work: Work<'s>) -> Result<(), NotCut> {
        if self.irregular.load(Ordering::Relaxed) {
            return Err(NotCut::Unwanted);
        }
        let number = self.number;
        self.number += 1;
        self.given.send((number, work)).map_err(|_| NotCut::Unwanted)
    }

    /// What came of it without any work.
    fn told(&mut self, done: Done) -> Result<(), NotCut> {
        let number = self.number;
        self.number += 1;
        self.done.send((number, done)).map_err(|_| NotCut::Unwanted)
    }
}

/// Reads what is given until there is no more.
fn work(taken: &Mutex<Receiver<(usize, Work<'_>)>>, done: &Sender<(usize, Done)>, reading: &Reading) {
    loop {
        let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, work)) = next else { return };
        let came = match work {
            Work::Piece(name, piece) => read_piece(name, piece, reading),
            Work::Files(files) => read_files(&files, reading),
        };
        if done.send((number, came)).is_err() {
            return;
        }
    }
}

fn read_piece(name: &str, piece: Piece, reading: &Reading) -> Done {
    let mut found = Vec::new();
    for chunk in piece.chunks(name) {
        match chunk.contents() {
            // It may have been cut where it should not have been; and of a document one letter is told, not one of each entry.
            Err(_) | Ok(Contents { letter: Some(_), .. }) if !chunk.is_document() => return Done::Irregular,
            contents => tell(&chunk, contents, reading, &mut found),
        }
    }
    Done::Found(found)
}

fn read_files(files: &[&Listed], reading: &Reading) -> Done {
    let mut found = Vec::new();
    for listed in files {
        match listed.read() {
            Ok(file) => read_file(file, reading, &mut found),
            Err(unreadable) => return Done::Unreadable(unreadable),
        }
    }
    Done::Found(found)
}
