//! Edits of files that others write too: old text in, new text out. Done twice, the second changes nothing.

/// Lines of ours between two marks; what is outside them stays to the letter.
///
/// A file that others may cut short in the middle of our lines is healed: an opening mark without its end is ours to the
/// end of the file.
pub fn block(text: &str, lines: &str) -> String {
    const OPEN: &str = "# >>> pikiosk: these lines are written by `pikiosk provision` >>>";
    const CLOSE: &str = "# <<< pikiosk <<<";
    let (before, after) = match text.find(OPEN) {
        Some(start) => {
            let rest = &text[start..];
            let end = rest.find(CLOSE).map_or(rest.len(), |at| at + CLOSE.len());
            (&text[..start], rest[end..].strip_prefix('\n').unwrap_or(&rest[end..]))
        }
        None => (text, ""),
    };
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    match lines.is_empty() {
        true => format!("{before}{after}"),
        false => format!("{before}{gap}{OPEN}\n{}\n{CLOSE}\n{after}", lines.trim_end()),
    }
}

/// One word of a kernel's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The whole word, or its beginning up to and with `=` or `:`.
    pub name: &'static str,
    /// What stands there; `None`: no such word.
    pub word: Option<String>,
}

/// Sets words of a kernel's command line: the first of a name is changed where it stands, others of that name go, new
/// ones come at the end. The rest keeps its order, and everything stays on one line.
pub fn command_line(text: &str, words: &[Word]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut placed = vec![false; words.len()];
    for had in text.split_ascii_whitespace() {
        let is = |word: &Word| match word.name.ends_with(['=', ':']) {
            true => had.starts_with(word.name),
            false => had == word.name,
        };
        match words.iter().position(is) {
            None => out.push(had.to_owned()),
            Some(at) if !placed[at] => {
                placed[at] = true;
                out.extend(words[at].word.clone());
            }
            Some(_) => {}
        }
    }
    let new = words.iter().zip(&placed).filter(|(_, placed)| !**placed);
    out.extend(new.filter_map(|(word, _)| word.word.clone()));
    // Debian's hook writes it with gaps of its own: they are no difference.
    if out.iter().map(String::as_str).eq(text.split_ascii_whitespace()) {
        return text.to_owned();
    }
    match out.is_empty() {
        true => String::new(),
        false => format!("{}\n", out.join(" ")),
    }
}

/// Sets `NAME="value"` of a file that a shell reads; comments and other names stay.
pub fn assignment(text: &str, name: &str, value: &str) -> String {
    let is = |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    set_line(text, is, &format!("{name}=\"{value}\""))
}

/// Sets `name=value` below `[section]` of a key file; what is not there comes at the section's end.
pub fn in_section(text: &str, section: &str, name: &str, value: &str) -> String {
    let mut out = Vec::new();
    let (mut inside, mut done) = (false, false);
    let line = format!("{name}={value}");
    for had in text.lines() {
        if had.trim_start().starts_with('[') {
            if inside && !done {
                out.push(line.clone());
                done = true;
            }
            inside = had.trim() == format!("[{section}]");
        }
        let same = inside && had.split_once('=').is_some_and(|(had, _)| had.trim() == name);
        match same {
            true if done => {}
            true => {
                out.push(line.clone());
                done = true;
            }
            false => out.push(had.to_owned()),
        }
    }
    if !done {
        if !inside {
            out.push(format!("[{section}]"));
        }
        out.push(line);
    }
    out.join("\n") + "\n"
}

/// Takes a line of `/etc/locale.gen` in: `de_CH.UTF-8 UTF-8`.
pub fn locale_gen(text: &str, locale: &str) -> String {
    let wanted = format!("{locale} UTF-8");
    set_line(text, |line| line.trim_start_matches(['#', ' ']).trim_end() == wanted, &wanted)
}

/// What 127.0.1.1 is called, as Debian has it, so that the machine knows its own name without a network.
pub fn hosts(text: &str, hostname: &str) -> String {
    let is = |line: &str| line.split_ascii_whitespace().next() == Some("127.0.1.1");
    set_line(text, is, &format!("127.0.1.1\t{hostname}"))
}

/// The first line that fits becomes `line`, others that fit go; without one, it comes at the end.
fn set_line(text: &str, fits: impl Fn(&str) -> bool, line: &str) -> String {
    let mut out = Vec::new();
    let mut done = false;
    for had in text.lines() {
        match fits(had) {
            false => out.push(had),
            true if done => {}
            true => {
                out.push(line);
                done = true;
            }
        }
    }
    if !done {
        out.push(line);
    }
    out.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_go_into_a_file_once_and_come_out_of_it_again() {
        let had = "export EDITOR=vi\nalias ll='ls -l'";
        let once = block(had, "exec startx");
        assert!(once.starts_with("export EDITOR=vi\nalias ll='ls -l'\n# >>> pikiosk"), "{once}");
        assert_eq!(block(&once, "exec startx"), once);
        let more = format!("{once}echo after\n");
        let changed = block(&more, "exec xinit\n");
        assert!(changed.contains("exec xinit\n# <<<") && changed.ends_with("echo after\n"), "{changed}");
        assert!(!changed.contains("startx"));
        assert_eq!(block(&changed, ""), format!("{had}\necho after\n"));
        assert_eq!(block("", ""), "");
    }

    #[test]
    fn a_mark_that_lost_its_end_is_healed() {
        let cut = &block("a\n", "one\ntwo\nthree")[..80];
        assert_eq!(block(cut, "one"), block("a\n", "one"));
    }

    #[test]
    fn the_command_line_keeps_its_order_and_what_is_not_ours() {
        let words = [
            Word { name: "video=HDMI-A-1:", word: Some("video=HDMI-A-1:1280x720@60D".into()) },
            Word { name: "quiet", word: Some("quiet".into()) },
            Word { name: "splash", word: None },
            Word { name: "consoleblank=", word: Some("consoleblank=0".into()) },
        ];
        let had =
            "console=tty1 video=HDMI-A-1:a root=PARTUUID=x-02 splash video=HDMI-A-1:b video=HDMI-A-2:c rootwait\n";
        let new = command_line(had, &words);
        assert_eq!(
            new,
            "console=tty1 video=HDMI-A-1:1280x720@60D root=PARTUUID=x-02 video=HDMI-A-2:c rootwait quiet consoleblank=0\n"
        );
        assert_eq!(command_line(&new, &words), new);
        let gaps = format!(" {}", new.replace(" root", "  root"));
        assert_eq!(command_line(&gaps, &words), gaps, "as Debian's hook writes it");
        assert_eq!(command_line("", &[Word { name: "quiet", word: None }]), "");
    }

    #[test]
    fn assignments_keep_comments_and_order() {
        let had = "# Consult keyboard(5)\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"us\"\n\nBACKSPACE=\"guess\"\n";
        let new = assignment(had, "XKBLAYOUT", "ch");
        assert_eq!(new, had.replace("us", "ch").replace("gueschs", "guess"));
        assert_eq!(assignment("", "XKBLAYOUT", "ch"), "XKBLAYOUT=\"ch\"\n");
    }

    #[test]
    fn a_key_goes_into_its_own_section() {
        let had = "[main]\nWirelessEnabled=false\nNetworkingEnabled=true\n[other]\nWirelessEnabled=x\n";
        let new = in_section(had, "main", "WirelessEnabled", "true");
        assert_eq!(new, had.replace("=false", "=true"));
        assert_eq!(in_section("[other]\na=1\n", "main", "a", "2"), "[other]\na=1\n[main]\na=2\n");
        assert_eq!(in_section("[main]\n[other]\n", "main", "a", "2"), "[main]\na=2\n[other]\n");
    }

    #[test]
    fn a_locale_is_taken_in_where_it_waits_as_a_comment() {
        let had = "# This file lists locales\n# de_CH.UTF-8 UTF-8\n# de_CH ISO-8859-1\nen_GB.UTF-8 UTF-8\n";
        let new = locale_gen(had, "de_CH.UTF-8");
        assert_eq!(new, had.replace("# de_CH.UTF-8", "de_CH.UTF-8"));
        assert_eq!(locale_gen(&new, "de_CH.UTF-8"), new);
        assert!(locale_gen("", "de_CH.UTF-8").starts_with("de_CH"));
    }

    #[test]
    fn the_machine_knows_its_own_name() {
        let had = "127.0.0.1\tlocalhost\n127.0.1.1\t\traspberrypi\n::1 ip6-localhost\n";
        assert_eq!(hosts(had, "lobby"), "127.0.0.1\tlocalhost\n127.0.1.1\tlobby\n::1 ip6-localhost\n");
        assert_eq!(hosts("127.0.0.1 localhost\n", "lobby"), "127.0.0.1 localhost\n127.0.1.1\tlobby\n");
    }

    proptest::proptest! {
        #[test]
        fn every_edit_done_twice_is_done_once(text in "([a-zA-Z#=:. \\[\\]\"-]{0,20}\n){0,6}[a-z# ]{0,5}", lines in "([a-z ]{1,9}\n){0,3}") {
            let words = [Word { name: "a", word: Some("a".into()) }, Word { name: "b=", word: None }];
            let edits: [&dyn Fn(&str) -> String; 6] = [
                &|text| block(text, &lines),
                &|text| command_line(text, &words),
                &|text| assignment(text, "A", "b"),
                &|text| in_section(text, "a", "b", "c"),
                &|text| locale_gen(text, "C.UTF-8"),
                &|text| hosts(text, "a"),
            ];
            for edit in edits {
                let once = edit(&text);
                proptest::prop_assert_eq!(edit(&once), once);
            }
        }
    }
}
