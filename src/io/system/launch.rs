//! A program run to its end: each line of its output told as it comes, the end of it kept for the error.

use std::{
    io::{self, BufRead, BufReader},
    process::{Command, Stdio},
};

use super::Ran;

/// How much of the output is kept: enough for apt's last words.
const KEPT: usize = 4096;

pub(super) fn launch(mut command: Command, told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds the pipe's other end, which must be closed for the reading to end.
    drop(command);
    let mut output = String::new();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader);
    // Ends when the program and all it started closed their output.
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        told(text.trim_end());
        output.push_str(&text);
        if output.len() > 2 * KEPT {
            output = tail(&output).to_owned();
        }
        line.clear();
    }
    let status = child.wait()?;
    Ok(Ran { success: status.success(), status: status.to_string(), output: tail(&output).to_owned() })
}

fn tail(output: &str) -> &str {
    let from = output.len().saturating_sub(KEPT);
    let from = (from..=output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(0);
    &output[from..]
}
