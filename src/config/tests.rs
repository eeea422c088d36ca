use std::path::Path;

use super::*;

fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let sources = Sources::under(root.path());
    (root, sources)
}

fn refused<S: Document>(text: &str) -> String {
    match from_text::<S>(text) {
        Ok(_) => panic!("this was taken: {text}"),
        Err(error) => error.to_string(),
    }
}

fn origin_of(loaded: &[Shown], key: &str) -> String {
    let shown = loaded.iter().find(|shown| shown.key == key).unwrap();
    shown.origin.to_string()
}

#[test]
fn an_empty_machine_has_settings_that_work() {
    let (_root, sources) = machine(&[]);
    let kiosk = KioskSettings::load(&sources).unwrap().settings;
    assert_eq!(kiosk.page.listen.to_string(), "127.0.0.1:80");
    assert_eq!(kiosk.browser.hang.as_secs(), 8);
    assert_eq!(kiosk.server, None);
    let server = ServerSettings::load(&sources).unwrap().settings;
    assert_eq!(server.listen.to_string(), "127.0.0.1:8400");
    assert_eq!(server.limits.frame_bytes, 65_536);
}

#[test]
fn a_higher_layer_goes_over_a_lower_one_and_each_value_says_where_it_is_from() {
    let (root, mut sources) = machine(&[
        (
            "usr/lib/pikiosk/kiosk.toml",
            "[display]\nid = \"usr\"\nurl = \"https://usr.example/\"\n[browser]\nhang_seconds = 5\n",
        ),
        ("run/pikiosk/kiosk.toml", "[display]\nurl = \"https://run.example/\"\n[page]\nlisten = \"127.0.0.1:81\"\n"),
        ("etc/pikiosk/kiosk.toml", "# mine\n\n[page]\nlisten = \"127.0.0.1:82\"\n"),
        ("etc/pikiosk/kiosk.d/20-b.toml", "[server]\nurl = \"http://b:8400\"\n"),
        ("etc/pikiosk/kiosk.d/10-a.toml", "[server]\nurl = \"http://a:8400\"\nenrollment = \"abcd\"\n"),
    ]);
    sources.environment = vec![("PIKIOSK_BROWSER_HANG_SECONDS".into(), "9".into())];
    let sources = sources.with_flag("--listen", "page.listen", Some("127.0.0.1:83".into()));

    let loaded = KioskSettings::load(&sources).unwrap();

    assert_eq!(loaded.settings.display.id.map(String::from).as_deref(), Some("usr"));
    assert_eq!(loaded.settings.display.url.unwrap().as_str(), "https://run.example/");
    assert_eq!(loaded.settings.browser.hang.as_secs(), 9);
    assert_eq!(loaded.settings.page.listen.port(), 83);
    assert_eq!(loaded.settings.server.unwrap().url.as_str(), "http://b:8400/");
    let at = |path: &str| root.path().join(path).display().to_string();
    assert_eq!(origin_of(&loaded.shown, "display.id"), at("usr/lib/pikiosk/kiosk.toml:2"));
    assert_eq!(origin_of(&loaded.shown, "display.url"), at("run/pikiosk/kiosk.toml:2"));
    assert_eq!(origin_of(&loaded.shown, "server.url"), at("etc/pikiosk/kiosk.d/20-b.toml:2"));
    assert_eq!(origin_of(&loaded.shown, "browser.hang_seconds"), "environment PIKIOSK_BROWSER_HANG_SECONDS");
    assert_eq!(origin_of(&loaded.shown, "page.listen"), "flag --listen");
    assert_eq!(origin_of(&loaded.shown, "browser.command"), "default");
}

#[test]
fn a_file_named_on_the_command_line_takes_the_place_of_the_others() {
    let (root, sources) =
        machine(&[("etc/pikiosk/server.toml", "listen = \"0.0.0.0:1\"\n"), ("mine.toml", "data = \"store\"\n")]);
    let loaded = ServerSettings::load(&sources.with_file(Some(root.path().join("mine.toml")))).unwrap();
    assert_eq!(loaded.settings.listen.port(), 8400);
    assert_eq!(loaded.settings.data, root.path().join("store"), "beside the file that says it");
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_an_error() {
    let error = ServerSettings::load(&Sources::only("/nowhere/server.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_eq!(error.to_string(), "/nowhere/server.toml cannot be read");
}

#[test]
fn every_mistake_of_a_tired_technician_is_told_at_once_with_line_and_cure() {
    let text = r#"[dispaly]
url = "https://example.org/"

[display]
ulr = "https://example.org/"
id = "Lobby 1"

[server]
url = "push.example.org"

[page]
listen = 80

[browser]
hang_seconds = 1
prefs = { "a" = [1] }

[schedule]
times = []
"#;
    insta::assert_snapshot!(refused::<KioskSettings>(text), @r#"
    kiosk.toml:1: dispaly: there is no such key; did you mean display? (here may stand: display, server, page, browser, screen, schedule, sound, offline, network, system)
           kiosk.toml:5: display.ulr: there is no such key; did you mean url? (here may stand: id, url)
           kiosk.toml:12: page.listen: expected text in quotes, found the number 80; write it in double quotes
           kiosk.toml:15: browser.hang_seconds: 1 is out of range; write a whole number from 2 to 600
           kiosk.toml:16: browser.prefs.a: found a list; write text in quotes, a whole number, or true or false
           kiosk.toml:19: schedule.times: there is no such key; here may stand: holidays, rules, exceptions
           kiosk.toml:6: display.id: "Lobby 1" is no display id; write small letters, digits and dashes, at most 63, beginning with a letter or digit; all, group and user are taken
           kiosk.toml:9: server.url: this is no address of a server; write it such as https://push.example.org or http://192.168.1.20:8400
    "#);
}

#[test]
fn hours_that_make_no_sense_are_told_with_their_line_and_the_cure() {
    let rule = |line: &str| {
        refused::<KioskSettings>(&format!("[[schedule.rules]]\non = \"07:00\"\noff = \"18:00\"\n{line}\n"))
    };
    let day = "kiosk.toml:4: schedule.rules[0].days: `mo-fr` names no days; write them such as mon-fri or sat, sun";
    assert_eq!(rule("days = \"mo-fr\""), day);
    let missing = refused::<KioskSettings>("[[schedule.rules]]\non = \"07:00\"\n");
    assert!(missing.contains("schedule.rules[0]: off is missing; write off = "), "{missing}");
    let text = "[schedule]\nholidays = [\"12-25\"]\n[[schedule.rules]]\non = \"18:00\"\noff = \"02:00\"\n";
    let settings = KioskSettings::from_text(text).unwrap();
    assert_eq!(settings.schedule.timetable.unwrap().rules.len(), 1);
    assert_eq!(KioskSettings::from_text("").unwrap().schedule.timetable, None);
}

#[test]
fn what_fits_the_types_and_makes_no_sense_is_told_too() {
    let text = r#"[display]
id = "Lobby 1"
url = "javascript:alert(1)"
[server]
url = "https://user:secret@push.example.org"
[page]
listen = "0.0.0.0:80"
"#;
    insta::assert_snapshot!(refused::<KioskSettings>(text), @r#"
    kiosk.toml:2: display.id: "Lobby 1" is no display id; write small letters, digits and dashes, at most 63, beginning with a letter or digit; all, group and user are taken
           kiosk.toml:3: display.url: `javascript:alert(1)` cannot be shown: only http:// and https:// addresses can; write a whole address, such as https://example.org/
           kiosk.toml:5: server.url: a user or password has no place here; write it such as https://push.example.org or http://192.168.1.20:8400
           kiosk.toml:7: page.listen: "0.0.0.0:80" could be reached from other machines; write 127.0.0.1 and a port, such as 127.0.0.1:80
    "#);
    assert!(!refused::<KioskSettings>(text).contains("secret"));
}

#[test]
fn what_a_raspberry_pi_cannot_be_is_told_with_what_to_write() {
    let text = r#"[screen]
mode = "full hd"
rotate = 45
"#;
    insta::assert_snapshot!(refused::<KioskSettings>(text), @r#"
    kiosk.toml:2: screen.mode: "full hd" is no size of a picture; write width x height @ hertz, such as 1920x1080@60
           kiosk.toml:3: screen.rotate: 45 is no quarter turn; write 0, 90, 180 or 270
    "#);
    let text = r#"[network]
wifi_ssid = "a name that is far too long for a Wi-Fi"
wifi_password = "1234567"
wifi_country = "ch"
address = "192.168.1.20"
gateway = "192.168.1.1"
dns = ["router"]
"#;
    let said = refused::<KioskSettings>(text);
    assert!(!said.contains("\"1234567\""), "{said}");
    insta::assert_snapshot!(said, @r#"
    kiosk.toml:5: network.address: "192.168.1.20" is no address with its network; write it with the bits of its network, such as 192.168.1.20/24
           kiosk.toml:7: network.dns[0]: "router" is no address; write the number of a name server, such as 192.168.1.1
           kiosk.toml:2: network.wifi_ssid: this is no name of a Wi-Fi; write its name as the router shows it, at most 32 letters
           kiosk.toml:3: network.wifi_password: a password of a Wi-Fi has 8 to 63 characters, this one has 7; write it as the router shows it, or take the line out for a Wi-Fi without one
           kiosk.toml:4: network.wifi_country: "ch" is no country; write the two capital letters of the country in which the display stands, such as CH
    "#);
    let text = r#"[network]
wifi_password = "12345678"
address = "192.168.1.20/24"
gateway = "192.168.2.1"
"#;
    insta::assert_snapshot!(refused::<KioskSettings>(text), @r#"
    kiosk.toml:4: network.gateway: the gateway is not in the network of 192.168.1.20/24; write the router's address in the same network
           kiosk.toml:2: network.wifi_password: there is no Wi-Fi to use it for; write network.wifi_ssid as well
    "#);
    let text = r#"[system]
hostname = "Lobby 1"
timezone = "Zurich"
locale = "german"
keyboard = "German (Switzerland)"
ssh_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8F", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIO8FSo4wtATm47Q00l5nE6cbRK0Y7F9HLYfAXXNo6+vB"]
packages = ["vim; reboot"]
watchdog_seconds = 60
"#;
    let said = refused::<KioskSettings>(text);
    assert!(said.contains("60 is out of range; write a whole number from 0 to 15"), "{said}");
    insta::assert_snapshot!(refused::<KioskSettings>(&text.replace("watchdog_seconds = 60\n", "")), @r#"
    kiosk.toml:2: system.hostname: "Lobby 1" is no name of a machine; write small letters, digits and dashes, at most 63, with a letter or digit at both ends
           kiosk.toml:3: system.timezone: "Zurich" is no time zone; write a continent and a large city, such as Europe/Zurich, or UTC
           kiosk.toml:4: system.locale: "german" is no locale of UTF-8; write language_COUNTRY.UTF-8, such as de_CH.UTF-8, or C.UTF-8
           kiosk.toml:5: system.keyboard: "German (Switzerland)" is no layout; write a layout such as gb or de, with a variant in brackets such as ch(fr)
           kiosk.toml:7: system.packages[0]: "vim; reboot" is no package; write the name of a Debian package, such as fonts-noto-cjk
           kiosk.toml:6: system.ssh_keys[0]: this is a private key: it belongs to nobody but its owner; write the one line of the .pub file, such as ssh-ed25519 AAAA… name
           kiosk.toml:6: system.ssh_keys[1]: the key is not whole: a part of the line is missing; write the one line of the .pub file, such as ssh-ed25519 AAAA… name
           kiosk.toml:6: system.ssh_keys[2]: the key is not whole: a part of the line is missing; write the one line of the .pub file, such as ssh-ed25519 AAAA… name
    "#);
}

#[test]
fn a_wifi_takes_a_password_or_a_key_and_forgets_the_end_of_the_line() {
    let secret = |text: &str| {
        let text = format!("[network]\nwifi_ssid = \"a\"\nwifi_country = \"CH\"\nwifi_password = \"{text}\"\n");
        KioskSettings::from_text(&text).unwrap().network.wifi.unwrap().secret.unwrap()
    };
    assert_eq!(secret("12345678\\r\\n"), WifiSecret::Passphrase("12345678".into()));
    assert_eq!(secret(&"0A".repeat(32)), WifiSecret::Key([10; 32]));
    assert_eq!(secret(&"x".repeat(63)), WifiSecret::Passphrase("x".repeat(63)));
    let open = KioskSettings::from_text("[network]\nwifi_ssid = \"a\"\nwifi_country = \"CH\"\n").unwrap();
    assert_eq!(open.network.wifi.unwrap().secret, None);
}

#[test]
fn the_file_for_the_display_says_the_same_without_the_password() {
    let text = r#"
[display]
id = "lobby"
[server]
url = "http://push"
enrollment = "code"
[browser]
hang_seconds = 8
prefs = { "a.b" = 1 }
[network]
wifi_ssid = "a"
wifi_country = "CH"
wifi_password = "wall and paper"
[system]
zram = true
journal = "disk"
"#;
    let settings = KioskSettings::from_text(text).unwrap();
    assert!(settings.has_password() && !format!("{settings:?}").contains("wall and paper"));
    let own = settings.for_the_display();
    assert!(!own.contains("wall and paper") && !own.contains("zram") && !own.contains("hang"), "{own}");
    let again = KioskSettings::from_text(&own).unwrap();
    assert_eq!(again.for_the_display(), own);
    assert_eq!(again.system, settings.system);
    assert_eq!((again.server, again.browser), (settings.server, settings.browser));
}

#[test]
fn text_that_is_not_toml_is_told_with_its_line() {
    insta::assert_snapshot!(refused::<KioskSettings>("[display]\nid = lobby\n"), @r"kiosk.toml:2: string values must be quoted, expected literal string; this line is not TOML: write key = value, with text in double quotes");
    insta::assert_snapshot!(refused::<KioskSettings>("[display]\nid = \"a\"\nid = \"b\"\n"), @"kiosk.toml:3: duplicate key; this line is not TOML: write key = value, with text in double quotes");
}

#[test]
fn bytes_that_are_not_text_are_told_with_their_line() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("kiosk.toml");
    std::fs::write(&path, b"[display]\nid = \"\xff\"\n").unwrap();
    let error = KioskSettings::load(&Sources::only(&path)).unwrap_err().to_string();
    assert_eq!(error, format!("{}:2: not UTF-8 text; save the file as UTF-8", path.display()));
}

#[test]
fn a_store_in_redis_says_where_and_nothing_of_its_password_is_repeated() {
    let refused = |text: &str| refused::<ServerSettings>(text);
    insta::assert_snapshot!(refused("[store]\nkind = \"redis\"\n"), @r#"server.toml:2: store.kind: it is not said where the Redis is; write url = "redis://127.0.0.1:6379/0" as well"#);
    insta::assert_snapshot!(refused("[store]\nurl = \"redis://127.0.0.1\"\n"), @r#"server.toml:2: store.url: only a store in Redis has an address; write kind = "redis" as well"#);
    let bad = refused("[store]\nkind = \"redis\"\nurl = \"redis+sentinel://anna:s3cret@host\"\n");
    insta::assert_snapshot!(bad, @"server.toml:3: store.url: a Sentinel address names its master: add ?master=NAME; write it such as redis://127.0.0.1:6379/0 (rediss:// for TLS)");
    let plain = "[store]\nkind = \"redis\"\nurl = \"redis://host\"\n";
    insta::assert_snapshot!(refused(&format!("{plain}authority_file = \"/ca.pem\"\n")), @"server.toml:3: store.url: certificates go with TLS; write rediss:// (or rediss+sentinel://, rediss+cluster://)");
    assert!(refused(&format!("{plain}prefix = \"a}}b\"\n")).contains("store.prefix"));
    let settings = ServerSettings::from_text(&plain.replace("//host", "//anna:s3cret@host")).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn a_jwt_key_has_one_source_that_fits_its_algorithm() {
    let text = r#"
[[auth.jwt]]
id = "a"
algorithm = "HS256"
public_key_file = "a.pem"
[[auth.jwt]]
id = "b"
algorithm = "ES256"
[[auth.jwt]]
id = "c"
algorithm = "none"
[[auth.jwt]]
id = "d"
algorithm = "EdDSA"
public_key_file = "d.pem"
secret = "hello"
"#;
    insta::assert_snapshot!(refused::<ServerSettings>(text), @r#"
    server.toml:11: auth.jwt[2].algorithm: "none" is not known; write "HS256" or "RS256" or "ES256" or "EdDSA"
           server.toml:16: auth.jwt[3].secret: there is no such key; did you mean secret_file? (here may stand: id, algorithm, secret_file, secret_env, public_key_file, jwks_url, audience, issuer)
    "#);
    let first = text.split_inclusive('\n').take(5).collect::<String>();
    insta::assert_snapshot!(refused::<ServerSettings>(&first), @"server.toml:4: auth.jwt[0].algorithm: HS256 takes one of secret_file or secret_env and nothing else; keep that one and take the others out");
    let good = "[[auth.jwt]]\nid = \"a\"\nalgorithm = \"EdDSA\"\npublic_key_file = \"/k/a.pem\"\n";
    let settings = ServerSettings::from_text(good).unwrap();
    assert_eq!(settings.auth.jwt[0].source, JwtKeySource::PublicKeyFile("/k/a.pem".into()));
    assert!(refused::<ServerSettings>(&good.repeat(2)).contains("two keys have the id \"a\""));
    let env = "[[auth.jwt]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret_env = \"APP\"\n";
    let settings = ServerSettings::from_text(env).unwrap();
    assert_eq!(settings.auth.jwt[0].source, JwtKeySource::SecretEnv("APP".into()));
}

#[test]
fn keys_are_fetched_over_tls_or_from_this_machine() {
    let text = |url: &str| format!("[[auth.jwt]]\nid = \"a\"\nalgorithm = \"ES256\"\njwks_url = \"{url}\"\n");
    for good in ["https://login.example.org/jwks", "http://127.0.0.1:9000/k", "http://localhost/k", "http://[::1]/k"] {
        let settings = ServerSettings::from_text(&text(good)).unwrap();
        assert_eq!(settings.auth.jwt[0].source, JwtKeySource::JwksUrl(good.parse().unwrap()), "{good}");
    }
    for bad in ["http://me:abcd@login.example.org/jwks", "http://10.0.0.1/k", "ftp://127.0.0.1/k", "jwks.json", ""] {
        let refused = refused::<ServerSettings>(&text(bad));
        assert!(refused.contains("keys are not fetched from there") && !refused.contains("abcd"), "{refused}");
    }
    let shared = "[[auth.jwt]]\nid = \"a\"\nalgorithm = \"HS256\"\njwks_url = \"https://a/\"\n";
    assert!(refused::<ServerSettings>(shared).contains("secret_file or secret_env"));
}

#[test]
fn the_environment_takes_numbers_and_lists_and_tells_a_misspelt_name() {
    let mut sources = Sources::under("/nowhere");
    sources.environment = vec![
        ("PIKIOSK_AUTH_ORIGINS".into(), "https://a.example, https://b.example:8443".into()),
        ("PIKIOSK_AUTH_PER_MESSAGE".into(), "true".into()),
        ("PIKIOSK_DISPLAY_URL".into(), "https://for.the.other.file/".into()),
        ("PIKIOSK_KEY".into(), "secret".into()),
        ("PIKIOSK_TICKETS_REDIS".into(), "".into()),
        ("PIKIOSK_SOMETHING_OF_SOMEBODY".into(), "1".into()),
    ];
    let settings = ServerSettings::load(&sources).unwrap().settings;
    assert_eq!(settings.auth.origins, ["https://a.example", "https://b.example:8443"]);
    assert!(settings.auth.per_message);
    assert_eq!(settings.tickets_redis, None, "an empty variable is none");

    sources.environment = vec![("PIKIOSK_LISTN".into(), "x".into()), ("PIKIOSK_LIMITS_FRAME_BYTES".into(), "x".into())];
    insta::assert_snapshot!(ServerSettings::load(&sources).unwrap_err(), @r#"
    environment PIKIOSK_LIMITS_FRAME_BYTES: limits.frame_bytes: expected a whole number, found "x"; write a whole number from 1024 to 16777216
           environment PIKIOSK_LISTN: there is no such variable; did you mean PIKIOSK_LISTEN?
    "#);
}

#[test]
fn secrets_are_not_shown() {
    let (_root, mut sources) =
        machine(&[("etc/pikiosk/kiosk.toml", "[server]\nurl = \"http://a\"\nenrollment = \"abcd\"\n")]);
    sources.environment = vec![("PIKIOSK_TICKETS_REDIS".into(), "redis://me:abcd@cache:6379/0".into())];
    let (kiosk, server) = (KioskSettings::load(&sources).unwrap(), ServerSettings::load(&sources).unwrap());
    let text = serde_json::to_string(&[kiosk.shown, server.shown]).unwrap();
    assert!(!text.contains("abcd"), "{text}");
    let logged = format!("{:?} {:?}", kiosk.settings, server.settings);
    assert!(!logged.contains("abcd"), "{logged}");
    assert!(text.contains("redis://me:hidden@cache:6379/0"));
}

#[test]
fn the_example_files_work_as_they_are_and_with_every_line_taken_in() {
    for text in [example::<KioskSettings>(), example::<ServerSettings>()] {
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        let server = text.contains("server.toml:");
        let taken: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(code) if !code.starts_with(' ') => format!("{code}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        // A key of HS256 takes no public key, and one secret.
        let taken = ["public_key_file", "jwks_url", "secret_env"]
            .iter()
            .fold(taken, |text, key| text.replace(&format!("\n{key}"), "\n#"));
        for text in [&text, &taken] {
            let problem = match server {
                true => ServerSettings::from_text(text).err(),
                false => KioskSettings::from_text(text).err(),
            };
            assert!(problem.is_none(), "{}\n{text}", problem.unwrap());
        }
    }
    insta::assert_snapshot!("example_kiosk", example::<KioskSettings>());
    insta::assert_snapshot!("example_server", example::<ServerSettings>());
}

#[test]
fn every_key_is_documented_and_every_file_without_a_line_is_the_default() {
    for shape in [shape::Shape::of::<KioskSettings>(), shape::Shape::of::<ServerSettings>()] {
        for (key, of) in shape.leaves() {
            assert!(of.doc.ends_with(['.', ']']), "{key}: {:?}", of.doc);
            assert!(of.default.is_some() || of.example.is_some(), "{key} has neither a default nor an example");
        }
    }
}

#[test]
fn the_schema_is_one_that_an_editor_can_use() {
    let schema = schema::<KioskSettings>();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["browser"]["properties"]["hang_seconds"]["default"], 8);
    assert_eq!(schema["properties"]["display"]["properties"]["url"]["type"], "string");
    assert!(!schema.to_string().contains("null"));
    assert_eq!(schema["properties"]["display"]["additionalProperties"], false, "an editor marks a misspelt key");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[[a-z.\\[\\]]{0,12}\\]\n|[a-z_.\"']{1,14} ?= ?[-0-9a-z\"'\\[\\]{}.,#]{0,20}\n|.{0,20}\n){0,6}") {
        let _ = KioskSettings::from_text(&text);
        let _ = ServerSettings::from_text(&text);
    }
}

#[test]
fn a_folder_of_a_layer_that_is_not_there_is_no_error() {
    assert!(
        layers::read::<KioskSettings>(
            &Sources::under(Path::new("/nowhere")),
            &shape::Shape::of::<KioskSettings>(),
            &mut vec![]
        )
        .unwrap()
        .is_empty()
    );
}

#[test]
fn a_line_of_a_list_sets_keys_and_a_misspelt_one_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kiosk.toml");
    std::fs::write(&file, "[display]\nid = \"x\"\nurl = \"https://example.org/\"\n").unwrap();
    let card = |key: &str| Sources::only(&file).with_flag("cards.csv:3", key, Some("lobby-3".into()));
    let loaded = KioskSettings::load(&card("display.id")).unwrap();
    assert_eq!(loaded.settings.display.id.unwrap().to_string(), "lobby-3");
    let again = KioskSettings::from_text(&loaded.text).unwrap();
    assert_eq!(again.display.url.unwrap().as_str(), "https://example.org/");
    let refused = KioskSettings::load(&card("display.di")).unwrap_err().to_string();
    assert!(refused.contains("cards.csv:3: display.di: there is no such key; did you mean display.id?"), "{refused}");
}

#[test]
fn a_wrong_value_is_told_beside_a_misspelt_key_and_what_only_that_leaves_out_is_not() {
    let told = refused::<KioskSettings>("[display]\nulr = \"x\"\nid = \"Lobby\"\n");
    assert!(told.contains("display.ulr") && told.contains("display.id"), "{told}");
    let told = refused::<ServerSettings>("[[auth.jwt]]\nid = \"a\"\nalgoritm = \"HS256\"\nsecret_file = \"/x\"\n");
    assert!(told.contains("algoritm") && told.lines().count() == 1, "{told}");
}
