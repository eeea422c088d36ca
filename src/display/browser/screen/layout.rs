//! Where each picture is to lie on the X screen. Pure.
//!
//! The main output is turned and gets the picture that is wanted. Others at the same place show the same and are turned
//! with it; one that lies elsewhere is left as it is. Where a second page is wanted, the first of the others lies beside
//! the main one, or below it where the X screen may not be so wide: that of a Pi 3 ends at 2048 points either way.
//! What is not connected any more is switched off.
//!
//! An X screen that changes its size is black on every output for a moment. So where a second page is wanted it has room
//! for that screen before it is plugged in, and keeps it.

use x11rb::protocol::randr;

use super::outputs::{Connector, Lit, Outputs};
use crate::config::Mode;

/// What is wanted of the main output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub picture: Choice,
    /// Clockwise; none: as it is.
    pub degrees: Option<u32>,
    /// A second output has a place of its own.
    pub apart: bool,
}

/// Which of its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The one it has, if it has one.
    AsItIs,
    /// This one, or, with none or where it has no such, the one that it likes best.
    Best(Option<Mode>),
}

/// What is to be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of the X screen.
    pub size: (u16, u16),
    pub on: Vec<(Vec<randr::Output>, Lit)>,
    pub off: Vec<randr::Crtc>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    #[error("no screen is connected")]
    Unplugged,
    #[error("{0} is connected, and nothing here can drive it")]
    Undriven(String),
    #[error("{output} cannot be turned by {degrees} degrees: its driver has no such turn")]
    Unturnable { output: String, degrees: u32 },
}

/// What is to be set so that it is as wanted; an empty plan if it is so already.
pub fn plan(outputs: &Outputs, wanted: Wanted) -> Result<Plan, NoPlan> {
    let main = outputs.main().ok_or(NoPlan::Unplugged)?;
    let lit = light(outputs, main, wanted, &[])?;
    let mut on = vec![(vec![main.id], lit)];
    let mut apart = wanted.apart;
    for other in outputs.all.iter().filter(|it| it.id != main.id && it.is_usable()) {
        let taken: Vec<randr::Crtc> = on.iter().map(|(_, lit)| lit.crtc).collect();
        if std::mem::take(&mut apart)
            && let Some(lit) = beside(outputs, &lit, other, &taken)
        {
            on.push((vec![other.id], lit));
            continue;
        }
        match other.lit {
            // One that is driven together with another is set with it.
            Some(lit) if taken.contains(&lit.crtc) => {
                on.iter_mut().filter(|(_, it)| it.crtc == lit.crtc).for_each(|(ids, _)| ids.push(other.id));
            }
            Some(lit) if (lit.x, lit.y) != (0, 0) => on.push((vec![other.id], lit)),
            _ => {
                let turned = Wanted { picture: Choice::AsItIs, degrees: Some(lit.degrees), apart: false };
                let upright = Wanted { degrees: Some(0), ..turned };
                // A mirror that cannot be turned, or not be driven, is no reason to refuse the main one.
                if let Ok(lit) =
                    light(outputs, other, turned, &taken).or_else(|_| light(outputs, other, upright, &taken))
                {
                    on.push((vec![other.id], lit));
                }
            }
        }
    }
    let used: Vec<randr::Crtc> = on.iter().map(|(_, lit)| lit.crtc).collect();
    let off = outputs.all.iter().filter_map(|it| it.lit).map(|lit| lit.crtc).filter(|crtc| !used.contains(crtc));
    let mut off: Vec<randr::Crtc> = off.collect();
    off.sort_unstable();
    off.dedup();
    let ends = on.iter().map(|(_, lit)| end(outputs, lit));
    let size = ends.chain(wanted.apart.then(|| room(outputs, main, &lit))).fold((0, 0), covers);
    let is_so = |(ids, lit): &(Vec<randr::Output>, Lit)| {
        ids.iter().all(|id| outputs.all.iter().any(|it| it.id == *id && it.lit == Some(*lit)))
    };
    if off.is_empty() && size == outputs.size && on.iter().all(is_so) {
        return Ok(Plan::default());
    }
    Ok(Plan { size, on, off })
}

/// For a second screen like the first one; and what there is, while the first picture stays as it is.
fn room(outputs: &Outputs, main: &Connector, lit: &Lit) -> (u16, u16) {
    let (width, height) = end(outputs, lit);
    let twice = (width.saturating_mul(2), height.saturating_mul(2).min(outputs.most.1));
    let room = if twice.0 <= outputs.most.0 { (twice.0, height) } else { (width, twice.1) };
    if main.lit == Some(*lit) { covers(room, outputs.size) } else { room }
}

fn covers(one: (u16, u16), other: (u16, u16)) -> (u16, u16) {
    (one.0.max(other.0), one.1.max(other.1))
}

/// Its lower right corner.
fn end(outputs: &Outputs, lit: &Lit) -> (u16, u16) {
    let (width, height) = turned(outputs, lit);
    (edge(lit.x, width), edge(lit.y, height))
}

/// At the right of the main picture, or below it; none where neither has room.
fn beside(outputs: &Outputs, main: &Lit, other: &Connector, taken: &[randr::Crtc]) -> Option<Lit> {
    let upright = Wanted { picture: Choice::Best(None), degrees: Some(0), apart: false };
    let lit = light(outputs, other, upright, taken).ok()?;
    let (main_end, (width, height)) = (end(outputs, main), turned(outputs, &lit));
    let (right, below) = ((main_end.0, 0), (0, main_end.1));
    let fits =
        |(x, y): &(u16, u16)| x.saturating_add(width) <= outputs.most.0 && y.saturating_add(height) <= outputs.most.1;
    let (x, y) = [right, below].into_iter().find(fits)?;
    Some(Lit { x: i16::try_from(x).ok()?, y: i16::try_from(y).ok()?, ..lit })
}

/// The size that it takes up on the X screen.
pub fn turned(outputs: &Outputs, lit: &Lit) -> (u16, u16) {
    let line = outputs.modes.get(&lit.mode).copied().unwrap_or_default();
    if lit.degrees.is_multiple_of(180) { (line.width, line.height) } else { (line.height, line.width) }
}

fn edge(at: i16, size: u16) -> u16 {
    u16::try_from(at).unwrap_or(0).saturating_add(size)
}

fn light(outputs: &Outputs, it: &Connector, wanted: Wanted, taken: &[randr::Crtc]) -> Result<Lit, NoPlan> {
    let now = it.lit;
    let is_free = |crtc: &&randr::Crtc| {
        let by_another = |other: &Connector| other.id != it.id && other.lit.is_some_and(|lit| lit.crtc == **crtc);
        !taken.contains(crtc) && !outputs.all.iter().any(by_another)
    };
    let own = now.map(|lit| lit.crtc).filter(|crtc| !taken.contains(crtc));
    let crtc = own.or_else(|| it.crtcs.iter().find(is_free).copied());
    let crtc = crtc.ok_or_else(|| NoPlan::Undriven(it.name.clone()))?;
    let as_it_is = now.map(|lit| lit.mode).filter(|mode| it.modes.contains(mode));
    // One that likes none best is left as it is.
    let best = || it.preferred.or(as_it_is).or_else(|| it.modes.first().copied());
    let mode = match wanted.picture {
        Choice::AsItIs => as_it_is.or_else(best),
        Choice::Best(named) => named.and_then(|named| named_mode(outputs, it, named)).or_else(best),
    };
    let degrees = wanted.degrees.unwrap_or(now.map_or(0, |lit| lit.degrees));
    // Of one that is not lit, nobody knows what it can do before it is.
    if now.is_some_and(|lit| lit.can & bit(degrees) == 0) {
        return Err(NoPlan::Unturnable { output: it.name.clone(), degrees });
    }
    let (x, y) = now.map_or((0, 0), |lit| (lit.x, lit.y));
    Ok(Lit { crtc, x, y, mode: mode.unwrap_or_default(), degrees, can: now.map_or(0, |lit| lit.can) })
}

/// RandR's bit for a turn clockwise; RandR counts the other way round.
pub fn bit(degrees: u32) -> u16 {
    match degrees {
        90 => 8,
        180 => 4,
        270 => 2,
        _ => 1,
    }
}

/// Of this size, with the nearest refresh rate; without one named, the fastest.
fn named_mode(outputs: &Outputs, it: &Connector, named: Mode) -> Option<randr::Mode> {
    let lines = it.modes.iter().filter_map(|mode| outputs.modes.get(mode).map(|line| (*mode, line)));
    let same_size =
        lines.filter(|(_, line)| (u32::from(line.width), u32::from(line.height)) == (named.width, named.height));
    let nearest = |(_, line): &(randr::Mode, &super::outputs::ModeLine)| match named.refresh {
        Some(hertz) => line.millihertz.abs_diff(hertz * 1000),
        None => u32::MAX - line.millihertz,
    };
    same_size.min_by_key(nearest).map(|(mode, _)| mode)
}
