//! The file of `--plot`.

use porter::cli::Failure;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file for the run's picture. It is opened before the run: a wrong path shall not cost an hour's figures. The last picture
/// stays until there is a new one.
pub(crate) struct Picture {
    path: PathBuf,
    file: File,
    /// It was not there before.
    is_new: bool,
}

impl Picture {
    /// # Errors
    /// [`Failure`] if nothing can be written there.
    pub(crate) fn open(path: &Path) -> Result<Picture, Failure> {
        let is_new = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Picture { path: path.to_owned(), file, is_new })
    }

    /// There is none: nothing was measured. A file that was made for it is removed.
    pub(crate) fn forget(self) {
        if self.is_new {
            // That it stays, empty, hurts nobody.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Puts the picture in the place of the last one, or into whatever else the path leads to.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written.
    pub(crate) fn draw(mut self, picture: &str) -> Result<(), Failure> {
        self.write(picture).map_err(|error| unwritable(&self.path, &error))
    }

    fn write(&mut self, picture: &str) -> io::Result<()> {
        self.file.write_all(picture.as_bytes())?;
        if self.file.metadata()?.is_file() { self.file.set_len(picture.len() as u64) } else { Ok(()) }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("cannot write the picture {}: {error}", path.display()))
}
