//! What the shell offers after `pikiosk push TARGET`: commands, then the keys and choices of that command.

use std::ffi::{OsStr, OsString};

use clap_complete::CompletionCandidate;

use super::data::{FieldKind, fields};
use crate::event::command::{self, REGISTRY};

pub fn commands(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fits = REGISTRY.iter().filter(|spec| spec.name.starts_with(&*typed));
    fits.map(|spec| CompletionCandidate::new(spec.name).help(Some(spec.summary.into()))).collect()
}

pub fn data(typed: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    let name = command_in(&words);
    let typed = typed.to_string_lossy();
    match split_off(&words, &typed) {
        Some(key) => after_equals(name, key, &typed),
        None => candidates(name, &typed),
    }
}

/// The key before the cursor, where the shell has split `key=value` at its `=` (bash does, and then wants the value
/// alone). Right behind the `=` bash does not even pass that on.
fn split_off<'w>(words: &[&'w str], typed: &str) -> Option<&'w str> {
    let mut before = words.iter().copied().rev().skip_while(|word| *word == typed);
    let last = before.next()?;
    let key = if last == "=" { before.next()? } else { last };
    let fields = fields(&command::spec(command_in(words)?)?.schema());
    fields.iter().any(|field| field.name == key).then_some(key)
}

/// What may stand behind `key=`, alone.
fn after_equals(name: Option<&str>, key: &str, typed: &str) -> Vec<CompletionCandidate> {
    let begin = format!("{key}=");
    let whole = candidates(name, &format!("{begin}{typed}"));
    let values = whole.iter().filter_map(|one| one.get_value().to_str()?.strip_prefix(&begin).map(str::to_owned));
    values.filter(|value| !value.is_empty()).map(CompletionCandidate::new).collect()
}

/// The command that is being pushed: the first one after `push` that the registry knows.
fn command_in<'w>(words: &[&'w str]) -> Option<&'w str> {
    let after = words.iter().skip_while(|word| **word != "push").skip(2);
    after.copied().find(|word| command::spec(word).is_some())
}

fn candidates(name: Option<&str>, typed: &str) -> Vec<CompletionCandidate> {
    let Some(spec) = name.and_then(command::spec) else { return Vec::new() };
    let mut found = Vec::new();
    for field in fields(&spec.schema()) {
        let help = Some(field.doc.clone().into());
        let values = match &field.kind {
            FieldKind::Choice(choices) => choices.clone(),
            FieldKind::Boolean => vec!["true".to_owned(), "false".to_owned()],
            _ => Vec::new(),
        };
        if !values.is_empty() && typed.starts_with(&format!("{}=", field.name)) {
            let whole = values.iter().map(|value| format!("{}={value}", field.name));
            found.extend(whole.filter(|whole| whole.starts_with(typed)).map(CompletionCandidate::new));
        } else if format!("{}=", field.name).starts_with(typed) {
            found.push(CompletionCandidate::new(format!("{}=", field.name)).help(help));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Vec<CompletionCandidate>) -> Vec<String> {
        found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_shell_offers_commands_then_their_keys_then_the_choices_of_a_key() {
        assert_eq!(texts(commands("re".as_ref())), ["reload", "restart_browser", "restart", "reboot"]);
        let name = command_in(&["pikiosk", "--", "pikiosk", "push", "lobby", "message", ""]);
        assert_eq!(name, Some("message"));
        assert_eq!(texts(candidates(name, "")), ["text=", "level=", "position=", "seconds="]);
        assert_eq!(texts(candidates(name, "level=w")), ["level=warning"]);
        assert_eq!(texts(candidates(None, "")), [""; 0]);
    }

    #[test]
    fn a_shell_that_splits_at_the_equals_sign_gets_the_value_alone() {
        let begin = ["pikiosk", "--", "pikiosk", "push", "lobby", "message"];
        let words = |more: &[&'static str]| [&begin[..], more].concat();
        assert_eq!(split_off(&words(&["level", "=", "w"]), "w"), Some("level"));
        assert_eq!(split_off(&words(&["level", ""]), ""), Some("level"));
        assert_eq!(split_off(&words(&["text=a", ""]), ""), None);
        assert_eq!(split_off(&words(&[""]), ""), None);
        assert_eq!(texts(after_equals(Some("message"), "level", "w")), ["warning"]);
        assert_eq!(texts(after_equals(Some("message"), "text", "w")), [""; 0]);
    }
}
