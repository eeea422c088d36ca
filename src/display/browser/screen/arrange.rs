//! Sets what layout.rs planned; the touch matrix goes with it.

use x11rb::{
    CURRENT_TIME,
    protocol::{
        randr::{self, ConnectionExt as _},
        xproto::ConnectionExt as _,
    },
};

use super::{
    layout::{self, Plan, Wanted},
    outputs::{Lit, Outputs},
    touch,
    x11::{X11, XError},
};

/// 96 dots to the inch, as X itself assumes: programs read their scale from it.
const TENTHS_OF_MM_PER_INCH: u32 = 254;
const DOTS_PER_INCH: u32 = 96;

/// What came of it.
#[derive(Debug)]
pub struct Arranged {
    pub outputs: Outputs,
    /// The touch screens that go with the picture.
    pub touch: Vec<String>,
    pub changed: bool,
}

/// Makes it as wanted. What fails is put back as it was.
pub fn arrange(x11: &X11, wanted: Wanted) -> Result<Arranged, XError> {
    if !x11.has_randr {
        return Err(XError::Lacking("this X server cannot turn or change the picture: it has no RandR 1.3".to_owned()));
    }
    let before = Outputs::read(x11)?;
    let plan = layout::plan(&before, wanted).map_err(|error| XError::Lacking(error.to_string()))?;
    let changed = plan != Plan::default();
    if changed {
        // Nobody sees what is half-way.
        x11.connection.grab_server()?.check()?;
        let done = set(x11, &before, &plan);
        if matches!(&done, Err(error) if !error.is_gone()) {
            put_back(x11, &before);
        }
        x11.connection.ungrab_server()?.check()?;
        done?;
    }
    let outputs = Outputs::read(x11)?;
    let touch = match outputs.main().and_then(|main| main.lit) {
        Some(lit) => touch::set(x11, matrix(&outputs, &lit))?,
        None => Vec::new(),
    };
    Ok(Arranged { outputs, touch, changed })
}

/// Where fingers on the main screen land.
fn matrix(outputs: &Outputs, lit: &Lit) -> touch::Matrix {
    let (width, height) = layout::turned(outputs, lit);
    touch::matrix(lit.degrees, (lit.x, lit.y, width, height), outputs.size)
}

fn set(x11: &X11, before: &Outputs, plan: &Plan) -> Result<(), XError> {
    let fits = |lit: &Lit| {
        let (width, height) = layout::turned(before, lit);
        let end = |at: i16, size: u16| i32::from(at) + i32::from(size);
        end(lit.x, width) <= plan.size.0.into() && end(lit.y, height) <= plan.size.1.into()
    };
    // The X screen can only become smaller once nothing lies outside of it.
    let mut off = plan.off.clone();
    off.extend(before.all.iter().filter_map(|it| it.lit).filter(|lit| !fits(lit)).map(|lit| lit.crtc));
    off.sort_unstable();
    off.dedup();
    for crtc in off {
        crtc_is(x11, before, crtc, None, &[])?;
    }
    resize(x11, before.size, plan.size)?;
    for (outputs, lit) in &plan.on {
        crtc_is(x11, before, lit.crtc, Some(lit), outputs)?;
    }
    Ok(())
}

/// As well as it goes: the picture that was there is better than none.
fn put_back(x11: &X11, before: &Outputs) {
    let now = x11.connection.get_geometry(x11.root).ok().and_then(|cookie| cookie.reply().ok());
    if let Some(now) = now {
        let _ = resize(x11, (now.width, now.height), before.size);
    }
    for lit in before.all.iter().filter_map(|it| it.lit) {
        let with_it = before.all.iter().filter(|it| it.lit.is_some_and(|other| other.crtc == lit.crtc));
        let with_it: Vec<randr::Output> = with_it.map(|it| it.id).collect();
        let _ = crtc_is(x11, before, lit.crtc, Some(&lit), &with_it);
    }
}

fn resize(x11: &X11, from: (u16, u16), to: (u16, u16)) -> Result<(), XError> {
    if from == to {
        return Ok(());
    }
    let mm = |dots: u16| u32::from(dots) * TENTHS_OF_MM_PER_INCH / (10 * DOTS_PER_INCH);
    x11.connection.randr_set_screen_size(x11.root, to.0, to.1, mm(to.0), mm(to.1))?.check()?;
    Ok(())
}

fn crtc_is(
    x11: &X11,
    outputs: &Outputs,
    crtc: randr::Crtc,
    lit: Option<&Lit>,
    on: &[randr::Output],
) -> Result<(), XError> {
    let (x, y, mode, degrees) = lit.map_or((0, 0, 0, 0), |lit| (lit.x, lit.y, lit.mode, lit.degrees));
    let rotation = layout::bit(degrees).into();
    let time = outputs.config_timestamp;
    let reply = x11.connection.randr_set_crtc_config(crtc, CURRENT_TIME, time, x, y, mode, rotation, on)?.reply()?;
    match reply.status {
        randr::SetConfig::SUCCESS => Ok(()),
        status => Err(XError::Refused(format!("the picture could not be set: {status:?}"))),
    }
}
