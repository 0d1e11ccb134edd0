//! Writing files so that each is whole or as it was.

use porter::cli::Failure;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Writes files, by their paths in a directory, which is made if there is none. What has a file's name is replaced, and not
/// followed if it is a link; only once all are written does any take its place.
///
/// # Errors
/// [`Failure`] with what cannot be written.
pub(crate) fn write_whole(directory: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    let mut new = Vec::new();
    let written = write_new(directory, files, &mut new).and_then(|()| {
        new.iter()
            .try_for_each(|(path, place)| fs::rename(path, place).map_err(|error| unwritable(place, &error)))
    });
    if written.is_err() {
        // Those that have taken their place are gone from here.
        new.iter().for_each(|(path, _)| drop(fs::remove_file(path)));
    }
    written
}

/// Writes all of them beside where they are to be. `new` has where they are, and where they are to be.
fn write_new(
    directory: &Path,
    files: &[(String, Vec<u8>)],
    new: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), Failure> {
    for (name, bytes) in files {
        let place = directory.join(name);
        make_folder(place.parent().unwrap_or(directory))?;
        if fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
            let place = place.display();
            return Err(Failure::failed(format_args!(
                "{place} is a directory; move it away, or name another DIR"
            )));
        }
        let file_name = place.file_name().unwrap_or_default().to_string_lossy();
        // No program that reads such a directory takes a hidden file.
        let path = place.with_file_name(format!(".{file_name}.{}", process::id()));
        let created = File::create_new(&path);
        new.push((path, place));
        let written = created.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|error| unwritable(&directory.join(name), &error))?;
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.as_os_str().is_empty() {
        return Err(Failure::usage("DIR is empty; . is the current directory"));
    }
    fs::create_dir_all(folder).map_err(|error| {
        let folder = folder.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Failure::failed(format_args!(
                "{folder} is not a directory, nor can it be made one; name another DIR"
            )),
            _ => {
                Failure::failed(format_args!("cannot make the directory {folder}: {error}; name another DIR"))
            }
        }
    })
}

fn unwritable(place: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("cannot write {}: {error}", place.display()))
}
