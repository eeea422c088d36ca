//! The only place that writes to stdout and stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

/// Writes a line of a result.
///
/// A reader that has gone away (`| head`) is no failure: the process ends quietly, as other tools do.
pub fn line(text: &str) -> Result<(), Failure> {
    write(text.as_bytes(), b"\n")
}

/// Writes text that ends its own lines.
pub fn text(text: &str) -> Result<(), Failure> {
    write(text.as_bytes(), b"")
}

/// Writes rows below their header, each column as wide as it must be.
#[cfg(feature = "tools")]
pub fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Result<(), Failure> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header).add_rows(rows);
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    text(&table.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>())
}

/// Writes bytes as they are, such as a manual page.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes, b"")
}

/// Writes a result as one JSON document, indented.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Failure::Unwritable { source: source.into() })?;
    line(&text)
}

/// Tells a failure on stderr, with its hint. There is nowhere to tell that this failed.
pub fn failure(failure: &Failure) {
    let _ = writeln!(io::stderr(), "{}", failure.rendered());
}

/// A remark on stderr that is no result.
pub fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn write(text: &[u8], end: &[u8]) -> Result<(), Failure> {
    let mut to = io::stdout().lock();
    match to.write_all(text).and_then(|()| to.write_all(end)).and_then(|()| to.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(source) => Err(Failure::Unwritable { source }),
    }
}
