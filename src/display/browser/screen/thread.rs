//! The thread that has the X connection: one after the other, for as long as the browser loop lives.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::time::Instant;
use x11rb::{
    connection::Connection as _,
    protocol::{Event, xproto::Visibility},
};

use super::{
    Request, Told, care,
    cursor::Cursor,
    curtain::Curtain,
    hands::Hands,
    idle::Idle,
    outputs::Outputs,
    sample::Sampler,
    watch::{Teller, Watch},
    windows::{self, Places, Windows},
    x11::{X11, XError},
};
use crate::display::screen::{Facts, Order, Output, Panel, Refusal};

/// The glass is looked at this often; the beat changes it every eighth time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While no light comes out of the panel, that it is off is all there is to know.
const LOOK_IN_THE_DARK: Duration = Duration::from_secs(10);
/// What drifts is put right within a minute.
const ASSERT_EVERY: Duration = Duration::from_secs(60);
/// A screen that is plugged in says so several times.
const SETTLE_AFTER: Duration = Duration::from_millis(300);
/// Windows that were moved are looked at again, ever more seldom: a quarrel about them is to cost nothing.
const LAY_FIRST: Duration = Duration::from_millis(5);
const LAY_LONGEST: Duration = Duration::from_secs(10);
/// An X server that is not there is tried again: soon at first, then this often.
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_LONGEST: Duration = Duration::from_secs(10);

/// What the thread lives on.
#[derive(Debug)]
pub struct Life<T> {
    pub requests: Receiver<Request>,
    /// Readable when there are requests; ends with the loop.
    pub wake: io::PipeReader,
    /// False: nobody listens any more.
    pub tell: T,
}

/// Nobody listens any more: the thread ends.
struct Over;

/// Serves until the loop is gone.
pub fn live<T: Fn(Told) -> bool>(life: &Life<T>, mut hands: Hands) {
    let mut pause = RECONNECT_FIRST;
    let mut told = String::new();
    let mut teller = Teller::default();
    loop {
        let served = X11::connect().and_then(|x11| {
            tracing::info!(randr = x11.has_randr, dpms = x11.has_dpms, touch = x11.has_touch, "X is there");
            (pause, told) = (RECONNECT_FIRST, String::new());
            Service::new(life, &mut hands, &mut teller, &x11)?.run()
        });
        let error = match served {
            Ok(Over) => return,
            Err(error) => error,
        };
        if told != error.to_string() {
            told = error.to_string();
            tracing::warn!(%error, "the screen is neither seen nor served; trying again");
        }
        let facts = Facts::default();
        if teller.is_news(&facts, Instant::now()) && !(life.tell)(Told::Sees(facts)) {
            return;
        }
        if life.refuse_for(pause, &error.refusal(), &mut teller).is_err() {
            return;
        }
        pause = (pause * 2).min(RECONNECT_LONGEST);
    }
}

impl<T: Fn(Told) -> bool> Life<T> {
    /// Waits, and answers each order with why it cannot be carried out.
    fn refuse_for(&self, pause: Duration, why: &Refusal, teller: &mut Teller) -> Result<(), Over> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            wait(None, &self.wake, until)?;
            self.requests(|request| match request {
                Request::TellAgain => teller.forget(),
                Request::Unveil => {}
                Request::Order { ask, .. } => {
                    let _ = (self.tell)(Told::Answered { ask, result: Err(why.clone()) });
                }
            })?;
        }
        Ok(())
    }

    fn requests(&self, mut take: impl FnMut(Request)) -> Result<(), Over> {
        loop {
            match self.requests.try_recv() {
                Ok(request) => take(request),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Over),
            }
        }
    }
}

/// One connection's life.
struct Service<'a, T> {
    life: &'a Life<T>,
    hands: &'a mut Hands,
    teller: &'a mut Teller,
    x11: &'a X11,
    cursor: Cursor,
    idle: Idle,
    curtain: Option<Curtain>,
    /// The day on which the panel was cared for last.
    cared: Option<jiff::civil::Date>,
    /// None where the pixels cannot be read.
    sampler: Option<Sampler>,
    watch: Watch,
    outputs: Vec<Output>,
    /// Where the pages lie, where there may be two.
    places: Option<Places>,
    windows: Windows,
    lay_at: Option<Instant>,
    lay_pause: Duration,
    panel: Panel,
    look_at: Instant,
    assert_at: Instant,
    settle_at: Option<Instant>,
}

impl<'a, T: Fn(Told) -> bool> Service<'a, T> {
    fn new(life: &'a Life<T>, hands: &'a mut Hands, teller: &'a mut Teller, x11: &'a X11) -> Result<Self, XError> {
        let now = Instant::now();
        let cursor = Cursor::new(hands.draws_a_cursor());
        if hands.has_second() {
            windows::watch(x11)?;
        }
        Ok(Service {
            life,
            hands,
            teller,
            cursor,
            idle: Idle::default(),
            curtain: None,
            cared: None,
            sampler: Sampler::new(x11, None)?,
            x11,
            watch: Watch::default(),
            outputs: Vec::new(),
            places: None,
            windows: Windows::default(),
            lay_at: None,
            lay_pause: LAY_FIRST,
            panel: Panel::Unknown,
            look_at: now,
            assert_at: now,
            settle_at: Some(now),
        })
    }

    fn run(mut self) -> Result<Over, XError> {
        loop {
            while let Some(event) = self.x11.connection.poll_for_event()? {
                self.take(&event)?;
            }
            let mut requests = Vec::new();
            if self.life.requests(|request| requests.push(request)).is_err() {
                return Ok(Over);
            }
            for request in requests {
                match request {
                    Request::TellAgain => self.teller.forget(),
                    Request::Unveil if self.curtain.as_ref().is_some_and(Curtain::is_held) => self.draw(None)?,
                    Request::Unveil => {}
                    Request::Order { ask, order } => {
                        let was_moment = self.is_for_a_moment();
                        let result = self.obey(&order);
                        // A playlist orders it with each of its items.
                        match was_moment || self.is_for_a_moment() {
                            true => tracing::debug!(?order, ?result, "ordered of the screen"),
                            false => tracing::info!(?order, ?result, "ordered of the screen"),
                        }
                        let told = Told::Answered { ask, result: result.as_ref().map_err(XError::refusal).cloned() };
                        if !(self.life.tell)(told) {
                            return Ok(Over);
                        }
                        if let Err(error) = result
                            && error.is_gone()
                        {
                            return Err(error);
                        }
                        self.read_outputs()?;
                        self.look_at = Instant::now();
                    }
                }
            }
            if self.due(Instant::now())?.is_err() {
                return Ok(Over);
            }
            let now_and_then =
                self.settle_at.into_iter().chain(self.lay_at).chain(self.curtain.as_ref().map(Curtain::due));
            let next = now_and_then.fold(self.look_at.min(self.assert_at), Instant::min);
            // What was read ahead while waiting for a reply would not wake the poll.
            if let Some(event) = self.x11.connection.poll_for_event()? {
                self.take(&event)?;
                continue;
            }
            if wait(Some(self.x11), &self.life.wake, next).is_err() {
                return Ok(Over);
            }
        }
    }

    fn take(&mut self, event: &Event) -> Result<(), XError> {
        match event {
            Event::RandrNotify(_) | Event::RandrScreenChangeNotify(_) => {
                self.settle_at.get_or_insert(Instant::now() + SETTLE_AFTER);
            }
            Event::VisibilityNotify(seen) if seen.state != Visibility::UNOBSCURED => {
                if let Some(curtain) = &self.curtain {
                    curtain.stay_above(self.x11, seen.window)?;
                }
            }
            Event::EnterNotify(entered) => windows::entered(self.x11, entered.event)?,
            Event::CreateNotify(made) if made.parent == self.x11.root && !made.override_redirect => {
                if let Some(places) = &self.places {
                    self.windows.made(self.x11, made.window, places)?;
                }
            }
            Event::MapNotify(_)
            | Event::UnmapNotify(_)
            | Event::ReparentNotify(_)
            | Event::ConfigureNotify(_)
            | Event::DestroyNotify(_) => self.lay_soon(),
            Event::XinputRawMotion(_) | Event::XinputRawButtonPress(_) => self.cursor.moved(self.x11)?,
            _ => {}
        }
        Ok(())
    }

    fn lay_soon(&mut self) {
        if self.places.is_some() {
            self.lay_at.get_or_insert(Instant::now() + self.lay_pause);
        }
    }

    /// Two pages, each on its own output.
    fn lay(&mut self) -> Result<(), XError> {
        self.lay_at = None;
        let Some(places) = &self.places else { return Ok(()) };
        self.lay_pause = match kept(self.windows.settle(self.x11, places))? {
            Some(false) => LAY_FIRST,
            Some(true) | None => {
                self.lay_at = Some(Instant::now() + self.lay_pause);
                (self.lay_pause * 2).min(LAY_LONGEST)
            }
        };
        Ok(())
    }

    fn obey(&mut self, order: &Order) -> Result<serde_json::Value, XError> {
        match order {
            Order::Hold { seconds } => {
                let held = Curtain::hold(self.x11, Duration::from_secs((*seconds).into()), Instant::now())?;
                self.draw(Some(held))?;
                Ok(serde_json::json!({ "held": true }))
            }
            Order::Release => {
                self.draw(None)?;
                Ok(serde_json::json!({ "held": false }))
            }
            order => self.hands.obey(self.x11, order),
        }
    }

    /// There is one curtain at a time.
    fn draw(&mut self, curtain: Option<Curtain>) -> Result<(), XError> {
        match std::mem::replace(&mut self.curtain, curtain) {
            Some(old) => old.end(self.x11),
            None => Ok(()),
        }
    }

    fn is_for_a_moment(&self) -> bool {
        self.curtain.as_ref().is_some_and(Curtain::is_moment)
    }

    /// Once a night, where the settings want it.
    fn care(&mut self, now: Instant) -> Result<(), XError> {
        let local = jiff::Zoned::now().datetime();
        let idle = self.idle(now)?;
        if self.hands.cares() && self.curtain.is_none() && care::is_due(local, self.cared, idle, self.panel) {
            self.cared = Some(local.date());
            tracing::info!("moving bars for the panel's good");
            let bars = kept(Curtain::bars(self.x11, care::CARE, now))?;
            self.draw(bars)?;
        }
        Ok(())
    }

    /// For how long nobody has touched anything.
    fn idle(&mut self, now: Instant) -> Result<Option<Duration>, XError> {
        Ok(kept(self.x11.idle_ms())?.flatten().map(|ms| self.idle.told(ms, now)))
    }

    /// Does what is due, and tells what is new.
    fn due(&mut self, now: Instant) -> Result<Result<(), Over>, XError> {
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle_at = None;
            if kept(self.hands.settle(self.x11))?.unwrap_or(false) {
                tracing::info!("the picture was put as it is to be");
            }
            self.read_outputs()?;
            self.look_at = now;
        }
        if self.lay_at.is_some_and(|at| at <= now) {
            self.lay()?;
        }
        if self.assert_at <= now {
            self.assert_at = now + ASSERT_EVERY;
            self.lay_soon();
            if let Some(drift) = kept(self.hands.assert_again(self.x11))?.flatten() {
                tracing::warn!(drift, "put right");
            }
            self.care(now)?;
        }
        if let Some(curtain) = self.curtain.as_mut().filter(|curtain| curtain.due() <= now)
            && !kept(curtain.go_on(self.x11, now))?.unwrap_or(false)
        {
            self.curtain = None;
        }
        if self.look_at <= now {
            let facts = self.look(now)?;
            if self.teller.is_news(&facts, now) && !(self.life.tell)(Told::Sees(facts)) {
                return Ok(Err(Over));
            }
        }
        Ok(Ok(()))
    }

    fn look(&mut self, now: Instant) -> Result<Facts, XError> {
        self.panel = self.hands.panel(self.x11)?;
        let idle = self.idle(now)?;
        kept(self.cursor.look(self.x11, idle))?;
        let dark = self.panel == Panel::Off;
        self.look_at = now + if dark { LOOK_IN_THE_DARK } else { LOOK_EVERY };
        let first = self.places.as_ref().map(|places| (places.first.width, places.first.height));
        let look = match &mut self.sampler {
            // What is behind a curtain is not what is seen.
            Some(sampler) if !dark && self.curtain.is_none() => kept(sampler.look(self.x11, first, now))?,
            _ => None,
        };
        let frame = look.map(|look| self.watch.look(&look, now));
        // Behind a picture that is held for a moment the page goes on: what was known of it is still so.
        if frame.is_none() && !self.is_for_a_moment() {
            self.watch.forget();
        }
        let idle_ms = idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let second = self.places.as_ref().and_then(|places| Some(places.second.as_ref()?.0.clone()));
        Ok(Facts { outputs: self.outputs.clone(), panel: self.panel, frame, idle_ms, second })
    }

    fn read_outputs(&mut self) -> Result<(), XError> {
        if self.x11.has_randr
            && let Some(outputs) = kept(Outputs::read(self.x11))?
        {
            self.outputs = outputs.facts();
            self.places = Places::of(&outputs).filter(|_| self.hands.has_second());
            self.lay_soon();
        }
        Ok(())
    }
}

/// What the server refuses is logged and lived with; a server that is gone is not.
fn kept<R>(result: Result<R, XError>) -> Result<Option<R>, XError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_gone() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the screen is not as it is to be");
            Ok(None)
        }
    }
}

/// Until something is to be read, of X or of the loop, or until then.
fn wait(x11: Option<&X11>, mut wake: &io::PipeReader, until: Instant) -> Result<(), Over> {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: waking a moment early would only mean to wait once more.
    let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
    let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
    let stream = x11.map(|x11| x11.connection.stream().as_fd());
    fds.extend(stream.map(|stream| PollFd::new(stream, PollFlags::POLLIN)));
    if poll(&mut fds, PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)).is_err() {
        // A signal: whoever calls looks at the time again.
        return Ok(());
    }
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    if events.contains(PollFlags::POLLIN) {
        // One byte for each request; as many as there are at once.
        return match wake.read(&mut [0; 64]) {
            Ok(0) | Err(_) => Err(Over),
            Ok(_) => Ok(()),
        };
    }
    if events.is_empty() { Ok(()) } else { Err(Over) }
}
