//! Carries out what is ordered, and keeps what was ordered as it is: X forgets with every screen that comes and goes.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    arrange::{self, Arranged},
    brightness::{self, Backlight},
    cec::Plugs,
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
    /// None until it is ordered.
    brightness: Option<u32>,
    plugs: Plugs,
    /// What the screens said of themselves by CEC last.
    said: Panel,
    backlight: Option<Backlight>,
}

impl Hands {
    pub fn new(settings: ScreenSettings) -> Self {
        Hands {
            degrees: settings.rotate.degrees(),
            on: None,
            brightness: None,
            plugs: Plugs::open(Path::new("/dev")),
            said: Panel::Unknown,
            backlight: Backlight::find(Path::new(brightness::BACKLIGHTS)),
            settings,
        }
    }

    pub fn draws_a_cursor(&self) -> bool {
        self.settings.cursor
    }

    pub fn cares(&self) -> bool {
        self.settings.care
    }

    /// A second screen has a page of its own.
    pub fn has_second(&self) -> bool {
        self.settings.second.is_some()
    }

    fn wanted(&self, picture: Choice, degrees: u32) -> Wanted {
        Wanted { picture, degrees: Some(degrees), apart: self.has_second() }
    }

    /// Whether light comes out of the panel: what X knows, and what the screen itself said by CEC.
    pub fn panel(&self, x11: &X11) -> Result<Panel, XError> {
        Ok(match (power::panel(x11)?, self.said) {
            (Panel::Off, _) | (_, Panel::Off) => Panel::Off,
            (Panel::Unknown, said) => said,
            (Panel::On, _) => Panel::On,
        })
    }

    /// Carries out one order; the answer is what was read back.
    pub fn obey(&mut self, x11: &X11, order: &Order) -> Result<Value, XError> {
        match order {
            Order::Power { on } => {
                let answer = self.switch(x11, *on)?;
                self.on = Some(*on);
                Ok(answer)
            }
            Order::Brightness { percent } => {
                let answer = self.shine(x11, *percent)?;
                self.brightness = Some(*percent);
                Ok(answer)
            }
            Order::Rotate { degrees } => {
                let arranged = arrange::arrange(x11, self.wanted(Choice::AsItIs, *degrees))?;
                self.degrees = *degrees;
                Ok(told(&arranged))
            }
            other => Err(XError::Lacking(format!("this display cannot do {other:?}"))),
        }
    }

    /// By DPMS and by CEC, whichever there is: each screen obeys one of them, and some both.
    fn switch(&mut self, x11: &X11, on: bool) -> Result<Value, XError> {
        let dpms = power::switch(x11, on);
        if let Err(error) = &dpms
            && error.is_gone()
        {
            return dpms.map(|_| Value::Null);
        }
        let cec = self.plugs.switch(on);
        if matches!(cec, Some(Ok(()))) {
            // It takes seconds to come up or to go down: until it says otherwise, it does as it was told.
            self.said = if on { Panel::On } else { Panel::Off };
        }
        let stays = || XError::Refused(format!("the screen stays {}", if on { "off" } else { "on" }));
        let by_dpms = match (on, &dpms) {
            (true, Ok(Panel::Off)) | (false, Ok(Panel::On)) => return Err(stays()),
            (_, result) => result.is_ok(),
        };
        let by: Vec<&str> = [(by_dpms, "dpms"), (matches!(cec, Some(Ok(()))), "cec")]
            .into_iter()
            .filter_map(|(did, name)| did.then_some(name))
            .collect();
        match (by.is_empty(), dpms, cec) {
            (false, ..) => Ok(json!({ "on": on, "by": by })),
            (true, _, Some(Err(error))) => Err(XError::Refused(format!("the screen was not switched by CEC: {error}"))),
            (true, Err(error), _) => Err(error),
            (true, ..) => Err(stays()),
        }
    }

    fn shine(&self, x11: &X11, percent: u32) -> Result<Value, XError> {
        if let Some(light) = &self.backlight {
            return match light.set(percent) {
                Ok(read) => Ok(json!({ "percent": read, "by": "backlight", "device": light.name() })),
                Err(error) => Err(XError::Refused(format!(
                    "the light of {} cannot be set ({error}): this user needs to be allowed to write to it",
                    light.name()
                ))),
            };
        }
        if brightness::dim(x11, percent)? {
            // Said plainly: the light behind the picture stays as it is.
            return Ok(json!({ "percent": percent, "by": "gamma" }));
        }
        Err(XError::Lacking("this screen has no light that can be set, and its driver no table of colours".to_owned()))
    }

    /// A screen came, went or changed: everything is as wanted again. True if something had to be done.
    pub fn settle(&mut self, x11: &X11) -> Result<bool, XError> {
        if !x11.has_randr {
            return Ok(false);
        }
        let wanted = self.wanted(Choice::Best(self.settings.mode), self.degrees);
        let arranged = match arrange::arrange(x11, wanted) {
            // What the driver cannot turn has at least its picture.
            Err(XError::Lacking(why)) => {
                tracing::warn!(why, "the picture cannot be as it is to be");
                let upright = Wanted { degrees: Some(0), ..wanted };
                match arrange::arrange(x11, upright) {
                    Err(XError::Lacking(_)) => return Ok(false),
                    other => other?,
                }
            }
            other => other?,
        };
        // A picture that is set anew has the full table of colours again.
        if let Some(percent) = self.brightness {
            self.shine(x11, percent)?;
        }
        Ok(arranged.changed)
    }

    /// Never blank by itself, and on or off as it was ordered. Says what had drifted.
    pub fn assert_again(&mut self, x11: &X11) -> Result<Option<&'static str>, XError> {
        if !self.plugs.is_empty() {
            self.said = self.plugs.panel();
        }
        let mut drift = power::never_by_itself(x11)?.then_some("the X server would have blanked the picture by itself");
        // Without an order it is on for X; a television that somebody switched off by its own key is left alone.
        let wanted = if self.on.unwrap_or(true) { Panel::On } else { Panel::Off };
        let is_other = |panel| panel != Panel::Unknown && panel != wanted;
        if is_other(power::panel(x11)?) || self.on.is_some() && is_other(self.said) {
            self.switch(x11, wanted == Panel::On)?;
            drift = Some(match wanted {
                Panel::On => "the screen had been switched off",
                _ => "the screen had been switched on, as a touch does",
            });
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
