//! What is wrong, and where.

use std::fmt;
use std::path::Path;

/// A place in a source, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What is wrong with an interface: prints as `FILE:LINE:COLUMN: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    file: String,
    place: Option<Place>,
    message: String,
}

impl Error {
    pub(crate) fn at(file: &str, place: Place, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            place: Some(place),
            message: message.into(),
        }
    }

    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self {
            file: path.display().to_string(),
            place: None,
            message: error.to_string(),
        }
    }

    /// The line, from 1; nothing when the file could not be read at all.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// The column, in characters from 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.place.map(|place| place.column)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.message)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Error {}
