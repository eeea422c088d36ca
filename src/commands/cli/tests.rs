use super::*;

fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((path.to_owned(), command.clone()));
    for sub in command.get_subcommands() {
        all(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

fn every_command() -> Vec<(String, clap::Command)> {
    let mut tree = Cli::tree().term_width(100);
    tree.build();
    let mut found = Vec::new();
    all(&tree, "pikiosk", &mut found);
    found
}

#[test]
fn the_tree_is_sound() {
    Cli::tree().debug_assert();
}

#[test]
fn the_help_of_every_command_fits_in_100_columns() {
    for (path, mut command) in every_command() {
        for line in command.render_long_help().to_string().lines() {
            assert!(line.chars().count() <= 100, "{path} --help: {line}");
        }
    }
}

#[test]
fn every_command_stands_in_one_group_of_the_help_and_has_words() {
    for sub in Cli::tree().get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let times = GROUPS.iter().flat_map(|(_, names)| *names).filter(|name| **name == sub.get_name()).count();
        assert_eq!(times, 1, "{}", sub.get_name());
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() <= 85, "{} takes more than a line of the overview: {about}", sub.get_name());
    }
    for (path, command) in every_command() {
        assert!(command.get_about().is_some(), "{path} says nothing of itself");
    }
}

/// As the README has it.
#[test]
fn every_command_has_an_example_and_every_argument_has_words() {
    for (path, mut command) in every_command().into_iter().filter(|(_, command)| !command.is_hide_set()) {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} says nothing of itself", argument.get_id());
        }
        let help = command.render_long_help().to_string();
        let is_one = command.get_subcommands().next().is_none();
        assert!(!is_one || help.contains("\nExample"), "{path} --help has no example");
    }
}

#[test]
#[cfg(all(feature = "display", feature = "server", feature = "tools"))]
fn the_help_of_every_command_reads_as_it_did() {
    let mut text = String::new();
    for (path, mut command) in every_command() {
        let help = command.render_long_help().to_string();
        let lines: String = help.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        text.push_str(&format!("$ {path} --help\n{lines}\n"));
    }
    insta::assert_snapshot!(text);
}
