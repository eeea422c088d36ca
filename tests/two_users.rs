//! The supervisor and the browser as two users, in directories that systemd itself makes from systemd/: together they
//! show a page, and neither comes at what is the other's. Needs root, which alone can be two users.
#![cfg(feature = "display")]

mod support;

use std::fs;

use support::{
    kiosk::COLD,
    process::Process,
    screen::{Colour, Screen},
    server::free_port,
    site::Site,
    users::{NOBODY, Pi},
    wait::{seconds, until},
};

const GREEN: Colour = [0x0a, 0x5c, 0x36];

#[test]
fn two_users_show_a_page_together_and_neither_comes_at_what_is_the_others() {
    let Some(pi) = Pi::set_up() else { return };
    let site = Site::start();
    let config = pi.at("etc/pikiosk/kiosk.toml");
    pi.configure(&format!(
        "[display]\nid = \"two\"\nurl = \"{}\"\n[page]\nlisten = \"127.0.0.1:{}\"\n",
        site.colour(GREEN, "first"),
        free_port()
    ));

    let x_folder = pi.at("x");
    fs::create_dir(&x_folder).expect("a folder is made");
    let screen = Screen::start(&x_folder);
    let mut run = pi.run();
    let browser = pi.browser(&screen);
    let shows = |run: &Process| {
        let logs = || format!("{}\n{}", run.log(), browser.log());
        let shown =
            || screen.frame().share(GREEN) > 0.8 && pi.status().is_some_and(|it| it["health"]["showing"] == true);
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("the page is on the glass, and anybody may know", COLD * 3, || shown().then_some(()));
        }));
        assert!(shown.is_ok(), "{}", logs());
    };
    shows(&run);

    // A page that took the browser over is this user.
    let (run_dir, state) = (pi.at("run/pikiosk"), pi.at("var/lib/pikiosk"));
    let (run_dir, state) = (run_dir.display(), state.display());
    assert!(pi.kiosk.can(&format!("test -w {run_dir}/browser.sock && ls {run_dir}")), "it reaches what it may");
    for closed in [
        format!("cat {run_dir}/page.secret"),
        format!("rm -f {run_dir}/browser.sock"),
        format!("mv {run_dir}/status.json {run_dir}/old"),
        format!("echo '{{}}' > {run_dir}/status.json"),
        format!("ls {state}"),
        format!("touch {state}/new"),
    ] {
        assert!(!pi.kiosk.can(&closed), "the browser's user can: {closed}");
    }
    // A supervisor that was taken over is this one.
    let profile = format!("{run_dir}/profile");
    assert!(pi.kiosk.can(&format!("cat {profile}/user.js")) && pi.supervisor.can(&format!("ls {run_dir}")));
    for closed in [
        format!("ls {profile}"),
        format!("mv {state}/provision {state}/old"),
        format!("rm -rf {state}/provision/receipt.json && test ! -e {state}/provision/receipt.json"),
        format!("echo >> {}", config.display()),
    ] {
        assert!(!pi.supervisor.can(&closed), "the supervisor's user can: {closed}");
    }
    // And anybody else.
    for closed in [
        format!("ls {run_dir}"),
        format!("test -w {run_dir}/browser.sock"),
        format!("cat {run_dir}/page.secret"),
        format!("ls {profile}"),
        format!("ls {state}"),
        format!("cat {}", config.display()),
    ] {
        assert!(!NOBODY.can(&closed), "anybody can: {closed}");
    }

    // The next supervisor finds what the last one left, and the same browser.
    run.kill();
    let mut run = pi.run();
    let pid = run.pid();
    until("the next supervisor tells", seconds(20), || pi.status().filter(|it| it["pid"] == pid));
    shows(&run);
    assert_eq!(pi.status().expect("a status")["health"]["browser_starts"], 1, "the browser lived on");
    assert!(run.stop(seconds(15)).success());
}
