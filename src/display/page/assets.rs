//! The page's files, compiled in.

/// One file, as it is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    pub path: &'static str,
    pub content_type: &'static str,
    pub body: &'static str,
    /// What the document may load (Content Security Policy level 3).
    pub csp: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Its own script and style and nothing else; never in a frame.
const CLOSED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The same, and the pictures that the supervisor keeps.
const OFFLINE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The same, and pictures and films from anywhere: they are what it is for, and cannot act.
const MEDIA: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src http: https: data:; \
                     media-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! asset {
    ($path:literal, $file:literal, $content_type:expr, $csp:expr) => {
        Asset {
            path: $path,
            content_type: $content_type,
            body: include_str!(concat!("../../../assets/page/", $file)),
            csp: $csp,
        }
    };
}

static ASSETS: [Asset; 10] = [
    asset!("/", "splash.html", HTML, CLOSED),
    asset!("/start", "splash.html", HTML, CLOSED),
    asset!("/splash", "splash.html", HTML, CLOSED),
    asset!("/offline", "offline.html", HTML, OFFLINE),
    asset!("/blank", "blank.html", HTML, CLOSED),
    asset!("/media", "media.html", HTML, MEDIA),
    asset!("/page.css", "page.css", CSS, CLOSED),
    asset!("/page.js", "page.js", JS, CLOSED),
    asset!("/media.css", "media.css", CSS, CLOSED),
    asset!("/media.js", "media.js", JS, CLOSED),
];

impl Asset {
    /// The file served under exactly this path.
    pub fn at(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy forbids them, so they would silently not work.
    #[test]
    fn no_document_has_inline_script_style_or_foreign_files() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == HTML) {
            for forbidden in ["<style", "style=\"", " onload", " onclick", "http:", "https:", "<script>"] {
                assert!(!asset.body.contains(forbidden), "{} has {forbidden}", asset.path);
            }
            for reference in asset.body.split(['"', '\'']).filter(|text| text.starts_with('/') && !text.contains('>')) {
                assert!(Asset::at(reference).is_some(), "{} names {reference}", asset.path);
            }
        }
    }

    #[test]
    fn no_script_writes_markup() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == JS) {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function("] {
                assert!(!asset.body.contains(forbidden), "{} uses {forbidden}", asset.path);
            }
        }
    }
}
