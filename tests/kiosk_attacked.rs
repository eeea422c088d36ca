//! A strange page on the glass attacks everything on 127.0.0.1 that a display runs: it gets nothing and changes nothing.

#![expect(clippy::print_stdout, reason = "how long each trick took is this test's report")]

mod support;

use serde_json::{Value, json};
use support::{
    browser::Supervisor,
    hands::{Hands, pages},
    http,
    kiosk::{COLD, DISPLAY, HOME, Kiosk},
    process,
    screen::Colour,
    wait::{seconds, until},
};

scenarios![
    a_strange_page_gets_nothing_from_the_local_page_the_browser_or_the_server,
    a_page_under_another_name_for_loopback_gets_nothing,
    a_strange_page_cannot_leave_its_place_or_keep_it,
    a_page_that_leaves_by_itself_all_the_time_is_ended_for_the_next_one,
    windows_beside_the_page_are_closed_for_good_and_cost_nothing,
    other_programs_on_the_machine_get_nothing_without_the_secret,
];

const STRANGER: Colour = [0x77, 0x11, 0x99];

/// Runs each attempt, and reports what it could read or do: `{name: "nothing" | what it got}`.
const ATTACK: &str = r##"<!doctype html><html><head><title>a stranger</title></head><body bgcolor="#771199"><script>
const at = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const got = {};
const tries = [];
const within = (promise, ms) => Promise.race([promise, new Promise(r => setTimeout(() => r("nothing: time"), ms))]);
const attempt = (name, run) => tries.push(async () => { got[name] = await within(run().catch(e => "nothing: " + e.name), 4000); });
// Some at a time, and after the paint: the attack is on what listens here, not on the processor.
const go = async () => {
  const worker = async () => { for (let run; run = tries.shift();) await run(); };
  await Promise.all(Array.from({ length: 16 }, worker));
  await fetch("/report/" + at.report, { method: "POST", body: JSON.stringify(got) });
};
for (const [what, base, paths] of [
  ["page", at.page, ["/", "/splash", "/offline", "/blank", "/media", "/state", "/state?since=0", "/page.js", "/../../etc/passwd", "/.git/config", "/status", "/control"]],
  ["page by name", at.page.replace("127.0.0.1", "localhost"), ["/splash", "/state"]],
  ["browser", at.bidi, ["/", "/json", "/json/version", "/session", "/status"]],
  ["server", at.server, ["/v1/displays", "/v1/presence", "/v1/events", "/v1/tickets"]],
]) for (const path of paths) {
  for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
    for (const mode of ["cors", "no-cors"]) {
      if (mode === "no-cors" && !["GET", "POST"].includes(method)) continue;
      attempt(`${what} ${method} ${path} ${mode}`, async () => {
        const options = { method, mode, credentials: "include" };
        if (method === "POST" || method === "PUT") { options.body = '{"text":"owned"}'; options.headers = { "Content-Type": "text/plain" }; }
        const answer = await fetch(base + path, options);
        const text = await answer.text();
        return answer.type === "opaque" || !text ? "nothing: " + answer.type : `read ${answer.status}: ${text.slice(0, 200)}`;
      });
    }
  }
  attempt(`${what} ${path} with the header`, async () => {
    const answer = await fetch(base + path, { headers: { "X-Pikiosk-Page": "0".repeat(32), "X-Forwarded-For": "127.0.0.1" } });
    return `read ${answer.status}`;
  });
  attempt(`${what} ${path} in a frame`, () => new Promise(done => {
    const frame = document.createElement("iframe");
    frame.onload = () => { try { const d = frame.contentDocument; done(d && d.body && d.body.innerText && d.URL !== "about:blank" ? "read " + d.body.innerText.slice(0, 200) : "nothing: " + (d ? d.URL : "closed")); } catch (e) { done("nothing: " + e.name); } };
    frame.src = base + path; document.body.append(frame);
  }));
  attempt(`${what} ${path} as a script`, () => new Promise(done => {
    const script = document.createElement("script");
    script.onload = () => done("loaded"); script.onerror = () => done("nothing: error");
    script.src = base + path; document.body.append(script);
  }));
  attempt(`${what} ${path} as a stream of events`, () => new Promise(done => {
    const stream = new EventSource(base + path);
    stream.onmessage = e => done("read " + e.data); stream.onerror = () => { stream.close(); done("nothing: error"); };
  }));
  attempt(`${what} ${path} by a form`, () => new Promise(done => {
    const frame = document.createElement("iframe"); frame.name = "f" + Math.random(); document.body.append(frame);
    const form = document.createElement("form"); form.method = "POST"; form.enctype = "text/plain"; form.action = base + path; form.target = frame.name;
    const field = document.createElement("input"); field.name = '{"method":"session.new","id":1,"params":{"capabilities":{}},"x":"'; field.value = '"}'; form.append(field); document.body.append(form);
    frame.onload = () => { try { done(frame.contentDocument && frame.contentDocument.URL !== "about:blank" && frame.contentDocument.body.innerText ? "read " + frame.contentDocument.body.innerText : "nothing"); } catch (e) { done("nothing: " + e.name); } };
    form.submit();
  }));
  attempt(`${what} ${path} by a beacon`, async () => { navigator.sendBeacon(base + path, '{"text":"owned"}'); return "nothing: sent"; });
  attempt(`${what} ${path} by WebSocket`, () => new Promise(done => {
    const protocols = what === "server" ? ["cloudevents.json"] : [];
    const socket = new WebSocket(base.replace("http", "ws") + path, protocols);
    socket.onopen = () => { socket.send('{"id":1,"method":"session.new","params":{"capabilities":{}}}'); socket.onmessage = e => done("read " + e.data); setTimeout(() => done("opened"), 1000); };
    socket.onerror = () => done("nothing: error"); socket.onclose = () => done("nothing: closed");
  }));
}
for (const path of ["/v1/ws", "/wsb", "/v1/ws?token=x", "/wsb?ws_token=wstoken" + "0".repeat(32)])
  attempt("server WebSocket " + path, () => new Promise(done => {
    const socket = new WebSocket(at.server.replace("http", "ws") + path, ["cloudevents.json"]);
    socket.onopen = () => done("opened"); socket.onerror = () => done("nothing: error");
  }));
attempt("files", async () => "read " + (await (await fetch("file:///etc/passwd")).text()).slice(0, 100));
attempt("resource", async () => "read " + (await (await fetch("resource://gre/modules/AppConstants.sys.mjs")).text()).slice(0, 20));
attempt("chrome", async () => "read " + (await (await fetch("chrome://browser/content/browser.xhtml")).text()).slice(0, 20));
addEventListener("load", () => setTimeout(go, 300));
</script></body></html>"##;

/// Shows the attacking page under this host name, and returns its report.
fn attack(kiosk: &Kiosk, host: &str, report: &str) -> serde_json::Map<String, Value> {
    kiosk.site.put("/stranger", "", ATTACK);
    let bidi = kiosk.bidi_port().expect("Firefox says its BiDi port");
    let at = json!({
        "page": format!("http://{}", kiosk.page),
        "bidi": format!("http://127.0.0.1:{bidi}"),
        "server": kiosk.server.url(),
        "report": report,
    });
    let hash: String = at.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
    let url = format!("http://{host}:{}/stranger#{hash}", kiosk.site.address.port());
    kiosk.push_is("navigate", &json!({ "url": url }), "shown");
    let target = format!("/report/{report}");
    let body = until("the stranger's report", COLD, || kiosk.site.hits(&target).pop()).body;
    let got: Value = serde_json::from_str(&body).expect("the report is JSON");
    got.as_object().expect("and an object").clone()
}

fn nothing_was_had(got: &serde_json::Map<String, Value>) {
    let had: Vec<_> =
        got.iter().filter(|(_, what)| !what.as_str().is_some_and(|text| text.starts_with("nothing"))).collect();
    assert!(got.len() > 200, "only {} attempts were made", got.len());
    assert!(had.is_empty(), "the stranger had: {had:#?}");
}

/// What the display and the server keep, which no attack may change.
fn kept(kiosk: &Kiosk) -> Vec<Value> {
    let displays = kiosk.server.get("/v1/displays").json();
    let strip = |mut value: Value| {
        // What changes by itself: when it was last seen, and its health.
        if let Some(list) = value.as_array_mut() {
            for display in list.iter_mut().filter_map(Value::as_object_mut) {
                display.retain(|name, _| matches!(name.as_str(), "id" | "display" | "label" | "groups" | "public_key"));
            }
        }
        value
    };
    vec![strip(displays)]
}

fn a_strange_page_gets_nothing_from_the_local_page_the_browser_or_the_server(kiosk: &mut Kiosk) {
    let before = kept(kiosk);
    nothing_was_had(&attack(kiosk, "127.0.0.1", "same-host"));
    nothing_was_had(&attack(kiosk, "localhost", "localhost"));
    assert!(kiosk.frame().share(STRANGER) > 0.2, "the page is still the one that was pushed");
    assert_eq!(kept(kiosk), before);
    kiosk.home();
    kiosk.push_is("message", &json!({"text": "still ours", "seconds": 1}), "shown");
}

fn a_page_under_another_name_for_loopback_gets_nothing(kiosk: &mut Kiosk) {
    // A name that leads to loopback, as after rebinding: the browser takes the page's port for the stranger's own origin.
    let port = kiosk.page.port();
    for host in ["stranger.localhost", "127.0.0.1.localhost"] {
        let id = kiosk.push("navigate", &json!({ "url": format!("http://{host}:{port}/splash") }));
        let (receipt, _) = kiosk.server.receipt_within(&id, DISPLAY, COLD);
        assert_eq!(receipt["status"], "failed", "{host}: {receipt}");
        nothing_was_had(&attack(kiosk, host, &format!("by-{host}")));
    }
    kiosk.home();
    // The same by hand, with every name that could lead here.
    let ask = |host: &str, path: &str, more: &[(&str, &str)]| {
        let headers: Vec<(&str, &str)> = [("Host", host)].into_iter().chain(more.iter().copied()).collect();
        http::request(kiosk.page, "GET", path, &headers, b"", seconds(60)).expect("the page answers")
    };
    let own = kiosk.page.to_string();
    for host in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example",
        "0.0.0.0",
        "[::1]",
        "",
        "evil.example:80",
        "127.1",
    ] {
        for path in ["/", "/splash", "/state", "/page.js"] {
            let reply = ask(host, path, &[]);
            assert!(
                matches!(reply.status, 400 | 403 | 404 | 421),
                "Host {host:?} {path}: {} {}",
                reply.status,
                reply.text()
            );
            assert!(
                reply.body.len() < 200 && !reply.text().contains(DISPLAY),
                "Host {host:?} {path}: {}",
                reply.text()
            );
        }
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "file://"] {
        for path in ["/state", "/splash"] {
            let reply = ask(&own, path, &[("Origin", origin)]);
            assert!(matches!(reply.status, 400 | 403), "Origin {origin} {path}: {}", reply.status);
        }
    }
    // What the browser itself says of a script, a picture, a frame that a stranger's page asks for.
    for (path, site, mode, dest, let_in) in [
        ("/splash", "cross-site", "no-cors", "script", false),
        ("/splash", "same-site", "no-cors", "image", false),
        ("/splash", "cross-site", "navigate", "iframe", false),
        ("/splash", "same-site", "cors", "empty", false),
        ("/splash", "none", "navigate", "document", true),
        ("/splash", "cross-site", "navigate", "document", true),
    ] {
        let said = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)];
        let reply = ask(&own, path, &said);
        assert_eq!(reply.status, if let_in { 200 } else { 403 }, "{said:?}: {}", reply.text());
    }
}

/// What a page might try, to get out of its place or to hold it for ever.
const TRICKS: [(&str, &str); 12] = [
    (
        "windows",
        "for (const name of ['_blank', 'w1', 'w2']) open('/colour/ff0000/popup', name, 'popup,width=300,height=300');",
    ),
    (
        "clicks",
        "onload = () => { const a = document.createElement('a'); a.href = '/colour/ff0000/new'; a.target = '_blank'; document.body.append(a); a.click(); };",
    ),
    (
        "a download",
        "const a = document.createElement('a'); a.href = 'data:application/octet-stream,owned'; a.download = 'owned.bin'; document.documentElement.append(a); a.click();",
    ),
    ("print", "print(); setInterval(print, 100);"),
    ("dialogs", "alert('look'); confirm('sure?'); prompt('name?'); setInterval(() => alert('again'), 50);"),
    (
        "full screen",
        "document.documentElement.requestFullscreen().catch(() => {}); document.documentElement.requestPointerLock();",
    ),
    ("the window", "moveTo(9999, 9999); resizeTo(10, 10); blur(); close();"),
    (
        "the browser's own pages",
        "for (const to of ['about:config', 'chrome://browser/content/browser.xhtml', 'view-source:http://127.0.0.1/', 'file:///etc/passwd', 'resource://gre/']) try { location.href = to; } catch (e) {}",
    ),
    (
        "other programs",
        "for (const to of ['mailto:a@b', 'tel:1', 'ssh://root@127.0.0.1', 'steam://run']) try { location.href = to; } catch (e) {}",
    ),
    (
        "staying",
        "addEventListener('beforeunload', e => { e.preventDefault(); e.returnValue = 'stay'; alert('stay'); });",
    ),
    (
        "permissions",
        "navigator.geolocation && navigator.geolocation.getCurrentPosition(() => {}); navigator.mediaDevices && navigator.mediaDevices.getUserMedia({ audio: true, video: true }).catch(() => {}); window.Notification && Notification.requestPermission(); navigator.requestMIDIAccess && navigator.requestMIDIAccess().catch(() => {});",
    ),
    ("going round in circles", "setInterval(() => { location.reload(); }, 30);"),
];

fn a_strange_page_cannot_leave_its_place_or_keep_it(kiosk: &mut Kiosk) {
    for (trick, script) in TRICKS {
        let page = format!(
            "<!doctype html><html><body bgcolor=\"#771199\"><script>{script}</script><h1>{trick}</h1></body></html>"
        );
        kiosk.site.put("/trick", "", &page);
        // Whether such a page counts as shown is its own affair: what counts is that the display stays ours.
        let id = kiosk.push("navigate", &json!({ "url": kiosk.site.url("/trick") }));
        let (receipt, took) = kiosk.server.receipt_within(&id, DISPLAY, COLD);
        println!("    {trick}: {} after {took:.1?}", receipt["status"]);
        kiosk.home();
        assert!(kiosk.frame().share(HOME) > 0.95, "{trick}: nothing lies over the page");
        kiosk.push_is("message", &json!({"text": "still ours", "seconds": 1}), "shown");
        kiosk.push_is("clear_message", &json!({}), "shown");
    }
    let everything = walk(kiosk.folder());
    assert!(!everything.iter().any(|path| path.contains("owned")), "a download left something");
}

/// Each of its steps puts aside whatever was ordered, and none ever comes: it would hold the glass for ever.
fn a_page_that_leaves_by_itself_all_the_time_is_ended_for_the_next_one(kiosk: &mut Kiosk) {
    let page = "<!doctype html><html><body bgcolor=\"#771199\"><script>let n = 0; \
                setInterval(() => { location.href = '/never?' + n++; }, 10);</script></body></html>";
    kiosk.site.put("/leaver", "", page);
    for round in 0..3 {
        let before = kiosk.site.hits("/never").len();
        kiosk.push("navigate", &json!({ "url": kiosk.site.url(&format!("/leaver?{round}")) }));
        until("it leaves, and leaves", COLD, || (kiosk.site.hits("/never").len() > before + 5).then_some(()));
        let next = kiosk.site.colour(HOME, &format!("after-{round}"));
        let receipt = kiosk.push_is("navigate", &json!({ "url": next }), "shown");
        println!("    round {round}: shown after {} ms", receipt["took_ms"]);
        kiosk.shows(HOME, seconds(2));
    }
}

/// What a page opens when it is touched, what somebody with a keyboard opens, and what an earlier session left.
fn windows_beside_the_page_are_closed_for_good_and_cost_nothing(kiosk: &mut Kiosk) {
    let hands = Hands::on(&kiosk.screen.display);
    let page = "<!doctype html><html><body bgcolor=\"#0a5c36\" style=\"margin:0\"><script>\
                onclick = () => { for (const how of ['', 'popup,width=300,height=300', 'noopener']) open('/colour/ff0000/popup', '_blank', how); };\
                </script><a href=\"/colour/ff0000/new\" target=\"_blank\" style=\"position:absolute;inset:0 50% 0 0\"> </a></body></html>";
    kiosk.site.put("/opener", "", page);
    let opener = json!({ "url": kiosk.site.url("/opener") });
    for (at, held) in [((900, 300), ""), ((100, 300), ""), ((100, 300), "Shift"), ((100, 300), "Ctrl")] {
        kiosk.push_is("navigate", &opener, "shown");
        hands.click(1, at, held);
        for keys in ["Ctrl+N", "Ctrl+Shift+P", "Ctrl+T"] {
            hands.press(keys);
        }
        is_alone_and_quiet(kiosk, &format!("a click at {at:?} with {held:?}"));
    }

    // A session before this one opened windows and tabs, and went.
    kiosk.run().stop(seconds(15));
    let socket = kiosk.runtime().join("browser.sock");
    std::fs::remove_file(&socket).expect("the supervisor left it");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("it binds");
    let mut before = Supervisor::meets(&listener);
    before.order(&json!({ "attach": {} }));
    before.attached();
    for kind in ["window", "window", "tab"] {
        before.ask("browsingContext.create", json!({ "type": kind }), seconds(20)).expect("it is opened");
    }
    assert!(pages(&kiosk.screen.display) >= 3, "they are there");
    drop((before, listener));
    kiosk.start_run();
    kiosk.home();
    is_alone_and_quiet(kiosk, "what was left by an earlier session");
}

#[track_caller]
fn is_alone_and_quiet(kiosk: &Kiosk, after: &str) {
    until("one window is there", seconds(20), || (pages(&kiosk.screen.display) == 1).then_some(()));
    kiosk.home();
    let firefox = kiosk.firefox();
    let used = |pid| process::cpu_seconds(pid).expect("it runs");
    let (began, before) = (std::time::Instant::now(), used(firefox));
    let quiet = until("three seconds of rest", seconds(10), || {
        (began.elapsed() > seconds(3)).then(|| (used(firefox) - before) / began.elapsed().as_secs_f64())
    });
    println!("    after {after}: Firefox's own process takes {:.0} % of a core", quiet * 100.0);
    assert!(quiet < 0.4, "{quiet:.2} of a core after {after}");
    assert_eq!(pages(&kiosk.screen.display), 1, "after {after}");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let mut found = if path.is_dir() { walk(&path) } else { Vec::new() };
            found.push(path.display().to_string());
            found
        })
        .collect()
}

fn other_programs_on_the_machine_get_nothing_without_the_secret(kiosk: &mut Kiosk) {
    let own = kiosk.page.to_string();
    for (path, more) in [
        ("/state", vec![]),
        ("/state", vec![("X-Pikiosk-Page", "")]),
        ("/state", vec![("X-Pikiosk-Page", "00000000000000000000000000000000")]),
        ("/state?since=0", vec![("Cookie", "k=x")]),
    ] {
        let headers: Vec<(&str, &str)> = [("Host", own.as_str())].into_iter().chain(more.clone()).collect();
        let reply = http::request(kiosk.page, "GET", path, &headers, b"", seconds(60)).expect("the page answers");
        assert_eq!(reply.status, 403, "{path} {more:?}: {}", reply.text());
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "HEAD"] {
        let reply = http::request(kiosk.page, method, "/state", &[("Host", &own)], b"{}", seconds(60));
        assert!(reply.is_err() || reply.as_ref().is_ok_and(|reply| reply.status >= 400), "{method}: {reply:?}");
    }
    for path in ["/", "/splash", "/offline", "/blank", "/media"] {
        let reply = http::request(kiosk.page, "GET", path, &[("Host", &own)], b"", seconds(60)).expect("an answer");
        assert!(!reply.text().contains(DISPLAY), "{path} has no data in it: {}", reply.text());
    }
    // The control socket is a file that only its owner and group may open.
    let socket = kiosk.runtime().join("browser.sock");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).expect("it is there").permissions());
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}
