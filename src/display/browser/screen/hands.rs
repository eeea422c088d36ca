//! Carries out what is ordered, and keeps what was ordered as it is: X forgets with every screen that comes and goes.

use serde_json::{Value, json};

use super::{
    arrange::{self, Arranged},
    layout::{Choice, Wanted},
    power,
    x11::{X11, XError},
};
use crate::{
    config::ScreenSettings,
    display::screen::{Order, Panel},
};

/// What is wanted of the screen: from the settings at first, then as ordered.
#[derive(Debug)]
pub struct Hands {
    settings: ScreenSettings,
    /// Clockwise.
    degrees: u32,
    /// None until it is ordered: then nobody switches it.
    on: Option<bool>,
}

impl Hands {
    pub fn new(settings: ScreenSettings) -> Self {
        Hands { degrees: settings.rotate.degrees(), on: None, settings }
    }

    /// Carries out one order; the answer is what was read back.
    pub fn obey(&mut self, x11: &X11, order: &Order) -> Result<Value, XError> {
        match order {
            Order::Power { on } => {
                let panel = power::switch(x11, *on)?;
                self.on = Some(*on);
                match (on, panel) {
                    (true, Panel::Off) => Err(XError::Refused("the screen stays off".to_owned())),
                    (false, Panel::On) => Err(XError::Refused("the screen stays on".to_owned())),
                    _ => Ok(json!({ "on": on, "by": ["dpms"] })),
                }
            }
            Order::Rotate { degrees } => {
                let arranged = arrange::arrange(x11, Wanted { picture: Choice::AsItIs, degrees: Some(*degrees) })?;
                self.degrees = *degrees;
                Ok(told(&arranged))
            }
            other => Err(XError::Lacking(format!("this display cannot do {other:?}"))),
        }
    }

    /// A screen came, went or changed: everything is as wanted again. True if something had to be done.
    pub fn settle(&mut self, x11: &X11) -> Result<bool, XError> {
        if !x11.has_randr {
            return Ok(false);
        }
        let wanted = Wanted { picture: Choice::Best(self.settings.mode), degrees: Some(self.degrees) };
        let arranged = match arrange::arrange(x11, wanted) {
            // What the driver cannot turn has at least its picture.
            Err(XError::Lacking(why)) => {
                tracing::warn!(why, "the picture cannot be turned as it is to be");
                let upright = Wanted { degrees: Some(0), ..wanted };
                match arrange::arrange(x11, upright) {
                    Err(XError::Lacking(_)) => return Ok(false),
                    other => other?,
                }
            }
            other => other?,
        };
        Ok(arranged.changed)
    }

    /// Never blank by itself, and on or off as it was ordered. Says what had drifted.
    pub fn assert_again(&mut self, x11: &X11) -> Result<Option<&'static str>, XError> {
        let mut drift = power::never_by_itself(x11)?.then_some("the X server would have blanked the picture by itself");
        if x11.has_dpms {
            // Without an order it is on: nothing of ours ever switched it off.
            let wanted = if self.on.unwrap_or(true) { Panel::On } else { Panel::Off };
            if power::panel(x11)? != wanted {
                power::switch(x11, wanted == Panel::On)?;
                drift = Some(match wanted {
                    Panel::On => "the screen had been switched off",
                    _ => "the screen had been switched on, as a touch does",
                });
            }
        }
        Ok(drift)
    }
}

fn told(arranged: &Arranged) -> Value {
    let facts = arranged.outputs.facts();
    let main = arranged.outputs.main().map(|main| main.name.clone()).unwrap_or_default();
    let degrees = facts.iter().find(|it| it.name == main).map_or(0, |it| it.degrees);
    let (width, height) = arranged.outputs.size;
    json!({ "output": main, "degrees": degrees, "width": width, "height": height, "touch": arranged.touch })
}
