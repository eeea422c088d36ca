//! What a client says: its frames, and the tokens that come with them. Pure.

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Context, Effect, Phase, Session, Terms, ends_ms};
use crate::{
    auth::{Principal, jwt::JwtError},
    event::{
        Event, Receipt,
        frame::{ClientFrame, CloseCode, PublishAnswer},
        receipt::INLINE_RESULT_MAX,
    },
    server::publishing::{PublishError, prepare},
};

impl Session {
    /// Takes one text frame.
    pub(super) fn frame(&mut self, text: &Utf8Bytes, context: Context<'_>, out: &mut Vec<Effect>) {
        let read = Event::from_json(text.as_bytes()).map_err(Into::into);
        let event = match read.and_then(|event| ClientFrame::read(&event).map(|frame| (event, frame))) {
            Ok(read) => read,
            Err(error) => return self.close(CloseCode::BadFrame, error.to_string(), out),
        };
        let (event, frame) = event;
        if let Err((code, reason)) = self.check_token(&event, context) {
            return self.close(code, reason, out);
        }
        let first = matches!(self.phase, Phase::Waiting { .. });
        if let ClientFrame::Resume(resume) = frame {
            if !first {
                let reason = "kiosk.resume must be the first frame, within 2 s".to_owned();
                return self.close(CloseCode::BadFrame, reason, out);
            }
            self.phase = Phase::Resuming(resume);
            out.push(Effect::ReadHeads);
            return;
        }
        if first {
            self.join(out);
        }
        match frame {
            ClientFrame::Resume(_) => {}
            ClientFrame::Receipt(receipt) => match self.terms.display.clone() {
                Some(display) => out.push(Effect::Receipt(display, bounded(receipt))),
                None => self.not_allowed("only a display gives receipts", out),
            },
            ClientFrame::Health(health) => match self.terms.display.clone() {
                Some(display) => out.push(Effect::Seen(display, Some(health))),
                None => self.not_allowed("only a display tells its health", out),
            },
            ClientFrame::Publish(inner) => match prepare(*inner, &self.terms.principal, context.now_ms) {
                Ok(publish) => out.push(Effect::Publish(event.id, Box::new(publish))),
                Err(error @ PublishError::NotAllowed { .. }) => self.not_allowed(&error.to_string(), out),
                Err(error) => {
                    let answer = PublishAnswer { event: event.id, position: None, error: Some(error.to_string()) };
                    out.push(self.say("kiosk.published", &answer));
                }
            },
            ClientFrame::Call(call) => {
                out.push(Effect::Call { id: event.id, caller: self.caller(), call: Box::new(call) });
            }
            ClientFrame::Auth(auth) => self.refresh(&auth.token, context, out),
        }
    }

    /// With `per_message`, a token of the same subject on every frame. A display with its own key has no token to send.
    fn check_token(&self, event: &Event, context: Context<'_>) -> Result<(), (CloseCode, String)> {
        let own_key = self.terms.display.is_some() && self.terms.principal.expires_ms.is_none();
        if !self.terms.per_message || own_key {
            return Ok(());
        }
        let refused = |why: String| {
            tracing::info!(session = self.terms.session, why, "a frame's token is refused");
            (CloseCode::NotAllowed, crate::auth::REFUSED.to_owned())
        };
        let token = event.token.as_ref().ok_or_else(|| refused("the frame carries no token".to_owned()))?;
        match context.keys.verify(&token.0, context.now_ms) {
            Ok(claims) if claims.sub.as_str() == self.terms.principal.name => Ok(()),
            Ok(_) => Err(refused("the token is of another subject".to_owned())),
            Err(JwtError::Expired { .. }) => {
                Err((CloseCode::TokenExpired, CloseCode::TokenExpired.reason().to_owned()))
            }
            // Its issuer may have a new key that is only just being fetched: come back with it.
            Err(error) if context.keys.may_be_fetched(&error) => {
                Err((CloseCode::TokenExpired, "the token's key is not known yet: come back".to_owned()))
            }
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Who calls: a display is one whoever's ticket it came with.
    fn caller(&self) -> String {
        let Terms { display, principal, .. } = &self.terms;
        let display = display.as_ref().map(|id| format!("display/{id}"));
        let user = || principal.user.as_ref().map(ToString::to_string);
        display.or_else(user).unwrap_or_else(|| principal.name.clone())
    }

    fn refresh(&mut self, token: &str, context: Context<'_>, out: &mut Vec<Effect>) {
        let fresh = match context.keys.verify(token, context.now_ms) {
            Ok(claims) => Principal::from_claims(claims),
            Err(error) => {
                tracing::info!(session = self.terms.session, %error, "kiosk.auth is refused");
                let code = if matches!(error, JwtError::Expired { .. }) || context.keys.may_be_fetched(&error) {
                    CloseCode::TokenExpired
                } else {
                    CloseCode::NotAllowed
                };
                return self.close(code, crate::auth::REFUSED.to_owned(), out);
            }
        };
        let old = &self.terms.principal;
        if fresh.name != old.name || fresh.display != old.display {
            return self.not_allowed("kiosk.auth names somebody else", out);
        }
        if fresh.receives != old.receives {
            let reason = "the new token names other addresses: come back with it".to_owned();
            return self.close(CloseCode::TokenExpired, reason, out);
        }
        self.terms.principal = fresh;
        self.ends_ms = ends_ms(&self.terms, context.now_ms);
        out.push(Effect::Retell(Box::new(self.terms.principal.clone())));
    }
}

/// A result too large for a receipt is left out: it should have gone by `PUT .../results`. The receipt itself counts.
fn bounded(mut receipt: Receipt) -> Receipt {
    if receipt.result.as_ref().is_some_and(|result| result.to_string().len() > INLINE_RESULT_MAX) {
        receipt.result = None;
    }
    receipt
}
