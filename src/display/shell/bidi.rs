//! Between the supervisor's questions and WebDriver BiDi (W3C, as Firefox 140 to 153 speaks it). Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    display::supervisor::{Answer, Ask, AskError, Looked, Painted, Seen},
    event::command::PictureFormat,
};

/// Our own world in every page: its scripts cannot see ours.
const SANDBOX: &str = "pikiosk";
const PAINTED: &str = include_str!("../../../assets/browser/painted.js");
const BEAT: &str = include_str!("../../../assets/browser/beat.js");
const STAY: &str = include_str!("../../../assets/browser/stay.js");
const KEYBOARD: &str = include_str!("../../../assets/browser/keyboard.js");
const LOOK: &str = include_str!("../../../assets/browser/look.js");
const ZOOM: &str = include_str!("../../../assets/browser/zoom.js");
const PLAY: &str = include_str!("../../../assets/browser/play.js");
const CLEAR_STORAGE: &str = include_str!("../../../assets/browser/clear_storage.js");

/// In letters.
const ADDRESS_MAX: usize = 8192;

/// A BiDi command without its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: &'static str,
    pub params: Value,
}

fn call(method: &'static str, params: Value) -> Call {
    Call { method, params }
}

/// What is asked once of every new session, in this order. `pages` is the origin of our own pages; `keyboard`: fields
/// bring one along.
pub fn set_up(pages: &str, keyboard: bool) -> [Call; 4] {
    let events = json!([
        "browsingContext.navigationCommitted",
        "browsingContext.fragmentNavigated",
        "browsingContext.contextCreated",
        "browsingContext.contextDestroyed",
        "browsingContext.userPromptOpened",
        "script.message",
    ]);
    let scripts = scripts(pages, keyboard);
    let painted = format!("(tell) => {{ ({STAY})(); {scripts} }}");
    let channel = json!([{ "type": "channel", "value": { "channel": SANDBOX } }]);
    [
        call("session.subscribe", json!({ "events": events })),
        call(
            "script.addPreloadScript",
            json!({ "functionDeclaration": painted, "arguments": channel, "sandbox": SANDBOX }),
        ),
        call("browser.setDownloadBehavior", json!({ "downloadBehavior": { "type": "denied" } })),
        call("browsingContext.getTree", json!({ "maxDepth": 0 })),
    ]
}

/// Which of these is asked again of a session that gets another tab: what windows and tabs there are.
pub const TREE: usize = 3;

/// What runs in every document, the one that was there before the session as well.
fn scripts(pages: &str, keyboard: bool) -> String {
    let keyboard = if keyboard { format!("({KEYBOARD})();") } else { String::new() };
    format!("({BEAT})(); {keyboard} ({PAINTED})(tell, {});", json!(pages))
}

/// The top-level contexts of a `browsingContext.getTree` answer, each with the window that it is in.
pub fn contexts(tree: &Value) -> Vec<(String, &Value)> {
    let contexts = tree["contexts"].as_array().into_iter().flatten();
    contexts.filter_map(|it| Some((it["context"].as_str()?.to_owned(), &it["clientWindow"]))).collect()
}

/// A preload script that zooms every document to come.
pub fn zoom_preload(percent: u32) -> Call {
    let function = format!("() => {{ ({ZOOM})({percent}); }}");
    call("script.addPreloadScript", json!({ "functionDeclaration": function, "sandbox": SANDBOX }))
}

/// Whether pages come from the network whatever the cache holds.
pub fn bypass_cache(bypass: bool) -> Call {
    let behavior = if bypass { "bypass" } else { "default" };
    call("network.setCacheBehavior", json!({ "cacheBehavior": behavior }))
}

pub fn remove_preload(script: &str) -> Call {
    call("script.removePreloadScript", json!({ "script": script }))
}

/// The command that asks `ask` of this context.
pub fn to_call(ask: &Ask, context: &str, keyboard: bool) -> Call {
    match ask {
        // `none`: the answer comes when the navigation has begun; the paint is told by the page itself.
        Ask::Navigate { url } => {
            call("browsingContext.navigate", json!({ "context": context, "url": url, "wait": "none" }))
        }
        // `ignoreCache` is "not supported yet": the cache is turned off around it.
        Ask::Reload { .. } => call("browsingContext.reload", json!({ "context": context, "wait": "none" })),
        Ask::Adopt { pages } => {
            let adopt = format!("(tell) => {{ {} return document.documentURI; }}", scripts(pages, keyboard));
            let channel = json!([{ "type": "channel", "value": { "channel": SANDBOX } }]);
            let target = json!({ "context": context, "sandbox": SANDBOX });
            call(
                "script.callFunction",
                json!({ "functionDeclaration": adopt, "arguments": channel, "target": target, "awaitPromise": false }),
            )
        }
        Ask::Overlay { script, argument } => function(context, Some(SANDBOX), script, argument),
        Ask::Zoom { percent } => function(context, Some(SANDBOX), ZOOM, &json!(percent)),
        Ask::PageEvent { name, data } => {
            // In a task of its own: given is given, whatever the page then does with it.
            let dispatch = "({ name, data }) => { setTimeout(() => \
                            document.dispatchEvent(new CustomEvent(name, { detail: data, bubbles: true })), 0); }";
            function(context, None, dispatch, &json!({ "name": name, "data": data }))
        }
        Ask::Pulse => call(
            "script.callFunction",
            json!({
                "functionDeclaration": LOOK.trim(),
                "target": { "context": context, "sandbox": SANDBOX },
                "awaitPromise": false,
            }),
        ),
        Ask::BrowserPulse => call("session.status", json!({})),
        Ask::FrameHash { .. } => {
            // Without the uppermost line, where the beat is (assets/browser/beat.js): what is more than the glass of the
            // box is cut off by Firefox. Equal pages have equal hashes.
            let mut call = capture(context, PictureFormat::Png);
            call.params["clip"] = json!({ "type": "box", "x": 0, "y": 1, "width": 65_535, "height": 65_535 });
            call
        }
        Ask::Screenshot { format, .. } => capture(context, *format),
        Ask::ClearCookies => call("storage.deleteCookies", json!({})),
        Ask::ClearStorage => function(context, None, CLEAR_STORAGE, &Value::Null),
        Ask::OpenAside => call("browsingContext.create", json!({ "type": "tab", "background": true })),
        // Not behind: Firefox would wait until the first window has the keys again, which nobody gives to it.
        Ask::OpenBeside => call("browsingContext.create", json!({ "type": "window" })),
        Ask::Beside { context, what } => to_call(what, context, keyboard),
        Ask::Play { context, url } => {
            let mut play = function(context, Some(SANDBOX), PLAY, &json!(url));
            // As if somebody had touched the tab: it may be heard, whatever Firefox's rule for pages is.
            play.params["userActivation"] = json!(true);
            play
        }
        Ask::CloseContext { context } => call("browsingContext.close", json!({ "context": context })),
        Ask::DismissPrompt { context } => {
            call("browsingContext.handleUserPrompt", json!({ "context": context, "accept": false }))
        }
    }
}

/// What the result of a command answers. A picture's bytes are read elsewhere.
pub fn to_answer(ask: &Ask, result: &Value) -> Result<Answer, AskError> {
    // A document that is just being replaced lets no script look: its process answers all the same.
    if result["type"] == "exception" && *ask != Ask::Pulse {
        let text = result["exceptionDetails"]["text"].as_str().unwrap_or("a script failed");
        // What our own scripts throw is a sentence for people.
        let text = text.strip_prefix("Error: ").unwrap_or(text);
        return Err(AskError::Refused(text.chars().take(300).collect()));
    }
    Ok(match ask {
        Ask::Navigate { .. } | Ask::Reload { .. } => {
            Answer::Navigated { navigation: result["navigation"].as_str().map(kept) }
        }
        Ask::Beside { what, .. } => return to_answer(what, result),
        Ask::OpenAside | Ask::OpenBeside => {
            Answer::Opened { context: result["context"].as_str().unwrap_or_default().to_owned() }
        }
        Ask::Play { .. } => {
            let said: Value =
                serde_json::from_str(result["result"]["value"].as_str().unwrap_or("null")).unwrap_or_default();
            Answer::Result(json!({ "seconds": said["seconds"].as_f64() }))
        }
        Ask::Adopt { .. } => Answer::Document { uri: kept(result["result"]["value"].as_str().unwrap_or_default()) },
        Ask::Pulse => {
            let mut words = result["result"]["value"].as_str().unwrap_or_default().split_whitespace();
            let word = words.next();
            let beats = words.next().and_then(|count| count.parse().ok());
            Answer::Looked(Looked {
                empty: matches!(word, Some("empty" | "filling")),
                may_fill: word == Some("filling"),
                beats,
            })
        }
        _ => Answer::Done,
    })
}

/// What a refusal of a command means.
pub fn to_error(ask: &Ask, error: AskError) -> Result<Answer, AskError> {
    match error {
        // What runs in Firefox's own process is no page: it is what Firefox shows of one that crashed.
        AskError::Refused(why) if *ask == Ask::Pulse && why.contains("parent process browsing contexts") => {
            Ok(Answer::Pageless)
        }
        // The tab is there, and no document in it.
        AskError::Refused(why) if why.contains("DiscardedBrowsingContextError") => Err(AskError::Frameless),
        error => Err(error),
    }
}

/// What an event of BiDi tells; `ours` is the one context there should be.
pub fn to_seen(method: &str, params: &Value, ours: &str) -> Seen {
    let context = params["context"].as_str().or_else(|| params["source"]["context"].as_str()).unwrap_or_default();
    let navigation = || params["navigation"].as_str().map(kept);
    let url = || kept(params["url"].as_str().unwrap_or_default());
    let seen = match method {
        "browsingContext.navigationCommitted" => Seen::Committed { navigation: navigation(), url: url() },
        "browsingContext.fragmentNavigated" => Seen::Jumped { navigation: navigation(), url: url() },
        "browsingContext.contextCreated" if params["parent"].is_null() && context != ours => {
            return Seen::Opened { context: context.to_owned() };
        }
        "browsingContext.contextDestroyed" => Seen::Closed,
        "browsingContext.userPromptOpened" => return Seen::Prompted { context: context.to_owned() },
        "script.message" => painted(params).map_or(Seen::Alive, Seen::Painted),
        _ => Seen::Alive,
    };
    match seen {
        Seen::Alive => Seen::Alive,
        seen if context == ours => seen,
        seen => Seen::Elsewhere { context: context.to_owned(), seen: Box::new(seen) },
    }
}

fn painted(params: &Value) -> Option<Painted> {
    #[derive(Deserialize)]
    struct Said {
        uri: String,
        status: Option<u16>,
        failed: Option<String>,
    }
    if params["channel"] != SANDBOX {
        return None;
    }
    let said: Said = serde_json::from_str(params["data"]["value"].as_str()?).ok()?;
    Some(Painted { uri: kept(&said.uri), status: said.status, failed: said.failed.as_deref().map(kept) })
}

/// As much of an address as a server may ask for, and more than tells one site from another: Firefox's own limit is a
/// million letters, and what a page leads to is remembered for a while.
fn kept(address: &str) -> String {
    address.chars().take(ADDRESS_MAX).collect()
}

/// The argument travels as text: BiDi's own form of an object is four times as long.
fn function(context: &str, sandbox: Option<&str>, script: &str, argument: &Value) -> Call {
    let declaration = format!("(text) => ({})(JSON.parse(text))", script.trim().trim_end_matches(';'));
    let mut target = json!({ "context": context });
    if let Some(sandbox) = sandbox {
        target["sandbox"] = json!(sandbox);
    }
    let arguments = json!([{ "type": "string", "value": argument.to_string() }]);
    call(
        "script.callFunction",
        json!({ "functionDeclaration": declaration, "arguments": arguments, "target": target, "awaitPromise": true }),
    )
}

fn capture(context: &str, format: PictureFormat) -> Call {
    let format = match format {
        PictureFormat::Png => json!({ "type": "image/png" }),
        PictureFormat::Jpeg => json!({ "type": "image/jpeg", "quality": 0.85 }),
    };
    call("browsingContext.captureScreenshot", json!({ "context": context, "origin": "viewport", "format": format }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_one_page_tells_is_understood_and_other_contexts_are_strangers() {
        let committed = json!({ "context": "c", "navigation": "n", "url": "http://a/" });
        let seen = Seen::Committed { navigation: Some("n".into()), url: "http://a/".into() };
        assert_eq!(to_seen("browsingContext.navigationCommitted", &committed, "c"), seen.clone());
        let elsewhere = Seen::Elsewhere { context: "c".into(), seen: Box::new(seen) };
        assert_eq!(to_seen("browsingContext.navigationCommitted", &committed, "other"), elsewhere);
        let opened = json!({ "context": "popup", "parent": null, "url": "about:blank" });
        assert_eq!(to_seen("browsingContext.contextCreated", &opened, "c"), Seen::Opened { context: "popup".into() });
        let frame = json!({ "context": "frame", "parent": "c", "url": "about:blank" });
        assert_eq!(to_seen("browsingContext.contextCreated", &frame, "c"), Seen::Alive);
    }

    #[test]
    fn a_painted_message_is_read_and_anything_else_on_the_channel_is_not() {
        let message = |value: &str| json!({ "channel": "pikiosk", "source": { "context": "c" }, "data": { "type": "string", "value": value } });
        let painted = r#"{"kind":"painted","uri":"http://a/","status":200,"failed":null}"#;
        let seen = Seen::Painted(Painted { uri: "http://a/".into(), status: Some(200), failed: None });
        assert_eq!(to_seen("script.message", &message(painted), "c"), seen.clone());
        assert_eq!(to_seen("script.message", &message("{}"), "c"), Seen::Alive);
        let elsewhere = Seen::Elsewhere { context: "c".into(), seen: Box::new(seen) };
        assert_eq!(to_seen("script.message", &message(painted), "other"), elsewhere);
    }

    #[test]
    fn a_script_that_threw_is_a_refusal_in_its_own_words() {
        let thrown = json!({ "type": "exception", "exceptionDetails": { "text": "TypeError: x" } });
        assert_eq!(to_answer(&Ask::ClearStorage, &thrown), Err(AskError::Refused("TypeError: x".into())));
        let of_ours = json!({ "type": "exception", "exceptionDetails": { "text": "Error: there is no such sound" } });
        assert_eq!(to_answer(&Ask::ClearStorage, &of_ours), Err(AskError::Refused("there is no such sound".into())));
        assert_eq!(to_answer(&Ask::Pulse, &thrown), Ok(Answer::Looked(Looked::default())), "its process answers");
        assert_eq!(
            to_answer(&Ask::Navigate { url: "x".into() }, &json!({ "navigation": "n", "url": "x" })),
            Ok(Answer::Navigated { navigation: Some("n".into()) })
        );
    }

    #[test]
    fn a_page_of_firefoxs_own_is_no_page() {
        // Firefox ESR 140, word for word.
        let says = "unsupported operation: script.evaluate and script.callFunction are not supported for parent process \
                    browsing contexts: 11";
        let refused = || AskError::Refused(says.into());
        assert_eq!(to_error(&Ask::Pulse, refused()), Ok(Answer::Pageless));
        assert_eq!(to_error(&Ask::ClearStorage, refused()), Err(refused()));
        let frameless = "no such frame: DiscardedBrowsingContextError: BrowsingContext does no longer exist";
        let navigate = Ask::Navigate { url: "http://a/".into() };
        assert_eq!(to_error(&navigate, AskError::Refused(frameless.into())), Err(AskError::Frameless));
        assert_eq!(to_error(&Ask::Pulse, AskError::TimedOut), Err(AskError::TimedOut));
    }

    #[test]
    fn functions_stay_expressions_whatever_the_argument_holds() {
        let ask = Ask::Overlay { script: "(a) => a;\n", argument: json!({ "text": "\"') => evil" }) };
        let call = to_call(&ask, "c", false);
        assert_eq!(call.params["functionDeclaration"], "(text) => ((a) => a)(JSON.parse(text))");
        assert_eq!(call.params["arguments"][0]["value"], r#"{"text":"\"') => evil"}"#);
    }
}
