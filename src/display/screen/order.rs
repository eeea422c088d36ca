//! What the supervisor orders of the screen.

use serde::{Deserialize, Serialize};

/// One order. Each is answered once, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Switches the panel: by DPMS and, where there is one, by HDMI-CEC.
    Power {
        on: bool,
    },
    /// Turns picture and touch together, clockwise: 0, 90, 180 or 270.
    Rotate {
        degrees: u32,
    },
    /// 0 to 100.
    Brightness {
        percent: u32,
    },
    /// 0 to 100.
    Volume {
        percent: u32,
        muted: bool,
    },
    /// Keeps the picture that is on the glass there, whatever happens below, until [`Order::Release`] or for so long: at
    /// most a minute.
    Hold {
        seconds: u32,
    },
    Release,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// This display lacks the hardware or the program for it: a receipt `refused`.
    #[error("{0}")]
    Lacking(String),
    /// It has it, and it did not work: a receipt `failed`.
    #[error("{0}")]
    Failed(String),
}
