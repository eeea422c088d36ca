//! Where pictures come to lie.

use super::{
    layout::{Choice, NoPlan, Plan, Wanted, plan},
    outputs::{Connector, Lit, ModeLine, Outputs},
};
use crate::config::Mode;

const FULL_HD: u32 = 1;
const XGA: u32 = 2;
const FULL_HD_50: u32 = 3;

fn connector(id: u32, lit: Option<Lit>) -> Connector {
    Connector {
        id,
        name: format!("HDMI-{id}"),
        connected: true,
        screen: None,
        lit,
        crtcs: vec![11, 12],
        modes: vec![FULL_HD, FULL_HD_50, XGA],
        preferred: Some(FULL_HD),
    }
}

fn lit(crtc: u32, x: i16, mode: u32, degrees: u32) -> Lit {
    Lit { crtc, x, y: 0, mode, degrees, can: 15 }
}

fn outputs(size: (u16, u16), all: Vec<Connector>) -> Outputs {
    let line = |width, height, millihertz| ModeLine { width, height, millihertz };
    let modes =
        [(FULL_HD, line(1920, 1080, 60_000)), (FULL_HD_50, line(1920, 1080, 50_000)), (XGA, line(1024, 768, 60_004))];
    Outputs { size, most: (2048, 2048), all, modes: modes.into(), primary: None, config_timestamp: 0 }
}

const BEST: Wanted = Wanted { picture: Choice::Best(None), degrees: Some(0), apart: false };

#[test]
fn what_is_as_wanted_is_left_alone() {
    let now = outputs((1920, 1080), vec![connector(1, Some(lit(11, 0, FULL_HD, 0)))]);
    assert_eq!(plan(&now, BEST), Ok(Plan::default()));
}

#[test]
fn a_quarter_turn_turns_the_whole_screen_and_the_next_one_starts_from_there() {
    let now = outputs((1920, 1080), vec![connector(1, Some(lit(11, 0, FULL_HD, 0)))]);
    let turn = |degrees| Wanted { picture: Choice::AsItIs, degrees: Some(degrees), apart: false };
    let turned = plan(&now, turn(90)).expect("it turns");
    assert_eq!((turned.size, &turned.on), ((1080, 1920), &vec![(vec![1], lit(11, 0, FULL_HD, 90))]));
    let now = outputs((1080, 1920), vec![connector(1, Some(lit(11, 0, FULL_HD, 90)))]);
    assert_eq!(plan(&now, turn(180)).expect("it turns").size, (1920, 1080));
}

#[test]
fn a_turn_that_the_driver_has_not_is_refused_with_the_output_named() {
    let fixed = Lit { can: 1, ..lit(11, 0, FULL_HD, 0) };
    let now = outputs((1920, 1080), vec![connector(1, Some(fixed))]);
    let refused = plan(&now, Wanted { degrees: Some(90), ..BEST }).expect_err("it cannot");
    assert_eq!(refused, NoPlan::Unturnable { output: "HDMI-1".into(), degrees: 90 });
    assert_eq!(plan(&now, BEST), Ok(Plan::default()), "as it is, it is fine");
}

#[test]
fn a_screen_that_is_switched_on_after_the_pi_gets_the_picture_it_likes_best() {
    let now = outputs((1024, 768), vec![connector(1, None)]);
    let lit = plan(&now, BEST).expect("there is a screen");
    assert_eq!(lit.size, (1920, 1080));
    assert_eq!((lit.on[0].1.crtc, lit.on[0].1.mode), (11, FULL_HD));
}

#[test]
fn a_picture_that_fell_back_becomes_the_wanted_one_again() {
    let now = outputs((1024, 768), vec![connector(1, Some(lit(11, 0, XGA, 0)))]);
    assert_eq!(plan(&now, BEST).expect("there is a screen").on[0].1.mode, FULL_HD);
    let named = |refresh| Wanted { picture: Choice::Best(Some(Mode { width: 1920, height: 1080, refresh })), ..BEST };
    assert_eq!(plan(&now, named(Some(50))).expect("there is a screen").on[0].1.mode, FULL_HD_50, "the nearest rate");
    assert_eq!(plan(&now, named(None)).expect("there is a screen").on[0].1.mode, FULL_HD, "the fastest");
    let unknown = Mode { width: 3840, height: 2160, refresh: None };
    let other = Wanted { picture: Choice::Best(Some(unknown)), ..BEST };
    assert_eq!(plan(&now, other).expect("there is a screen").on[0].1.mode, FULL_HD, "it has no such: its best");
}

#[test]
fn a_screen_that_likes_no_picture_best_keeps_the_one_it_has() {
    let indifferent = Connector { preferred: None, ..connector(1, Some(lit(11, 0, XGA, 0))) };
    assert_eq!(plan(&outputs((1024, 768), vec![indifferent]), BEST), Ok(Plan::default()));
}

#[test]
fn a_screen_that_was_pulled_out_is_switched_off_and_none_is_no_plan() {
    let gone = Connector { connected: false, modes: vec![], ..connector(1, Some(lit(11, 0, FULL_HD, 0))) };
    let now = outputs((1920, 1080), vec![gone.clone(), connector(2, None)]);
    let plan_of_both = plan(&now, BEST).expect("the other is there");
    assert_eq!((plan_of_both.off, plan_of_both.on[0].1.crtc), (vec![11], 12));
    assert_eq!(plan(&outputs((1920, 1080), vec![gone]), BEST), Err(NoPlan::Unplugged));
    let empty = Connector { modes: vec![], ..connector(1, None) };
    assert_eq!(plan(&outputs((1920, 1080), vec![empty]), BEST), Err(NoPlan::Unplugged), "connected, without a picture");
}

#[test]
fn a_mirror_turns_with_the_main_screen_and_one_beside_it_does_not() {
    let mirror = connector(2, Some(lit(12, 0, FULL_HD, 0)));
    let now = outputs((1920, 1080), vec![connector(1, Some(lit(11, 0, FULL_HD, 0))), mirror]);
    let turned = plan(&now, Wanted { degrees: Some(180), ..BEST }).expect("they turn");
    assert!(turned.on.iter().all(|(_, lit)| lit.degrees == 180), "{turned:?}");
    let beside = connector(2, Some(lit(12, 1920, FULL_HD, 0)));
    let now = outputs((3840, 1080), vec![connector(1, Some(lit(11, 0, FULL_HD, 0))), beside]);
    let turned = plan(&now, Wanted { degrees: Some(180), ..BEST }).expect("it turns");
    assert_eq!((turned.on[0].1.degrees, turned.on[1].1.degrees, turned.size), (180, 0, (3840, 1080)));
}

#[test]
fn the_primary_output_is_the_main_one() {
    let mut now = outputs((1920, 1080), vec![connector(1, None), connector(2, Some(lit(12, 0, FULL_HD, 0)))]);
    now.primary = Some(2);
    assert_eq!(now.main().map(|main| main.id), Some(2));
    now.primary = Some(9);
    assert_eq!(now.main().map(|main| main.id), Some(1), "one that is not there is none");
}

#[test]
fn a_second_page_has_the_second_screen_beside_the_first_or_below_it_where_that_is_too_wide() {
    let small = Connector { modes: vec![XGA], preferred: Some(XGA), ..connector(2, Some(lit(12, 0, XGA, 0))) };
    let large = connector(1, Some(lit(11, 0, FULL_HD, 0)));
    let mut now = outputs((1920, 1080), vec![large, small.clone()]);
    let apart = Wanted { apart: true, ..BEST };
    let below = Lit { y: 1080, ..lit(12, 0, XGA, 0) };
    let planned = plan(&now, apart).expect("there is room below");
    assert_eq!((planned.size, planned.on[1].clone()), ((1920, 2048), (vec![2], below)));
    now.most = (4096, 4096);
    let planned = plan(&now, apart).expect("there is room");
    assert_eq!((planned.size, planned.on[1].clone()), ((3840, 1080), (vec![2], lit(12, 1920, XGA, 0))));

    let shared = Connector { lit: Some(lit(11, 0, FULL_HD, 0)), ..small.clone() };
    now.all[1] = shared;
    let planned = plan(&now, apart).expect("the other is free");
    assert_eq!(planned.on[1], (vec![2], Lit { can: 15, ..lit(12, 1920, XGA, 0) }), "no longer driven with the first");

    (now.all[1], now.most) = (small, (1920, 1080));
    assert_eq!(plan(&now, apart), Ok(Plan::default()), "where there is no room both show the same");
}

#[test]
fn a_second_screen_that_comes_and_goes_never_changes_the_size_of_the_x_screen() {
    let apart = Wanted { apart: true, ..BEST };
    let mut now = outputs((1920, 1080), vec![connector(1, Some(lit(11, 0, FULL_HD, 0))), connector(2, None)]);
    now.most = (8192, 8192);
    now.all[1].connected = false;
    let room = (3840, 1080);
    assert_eq!(plan(&now, apart).expect("there is a screen").size, room, "before it is plugged in");
    assert_eq!(plan(&now, BEST), Ok(Plan::default()), "nobody wants a second page");

    (now.size, now.all[1].connected) = (room, true);
    let planned = plan(&now, apart).expect("there are two");
    assert_eq!((planned.size, planned.on[1].1), (room, Lit { can: 0, ..lit(11 + 1, 1920, FULL_HD, 0) }));
    now.all[1] = Connector { connected: false, lit: Some(planned.on[1].1), ..connector(2, None) };
    let planned = plan(&now, apart).expect("the first is there");
    assert_eq!((planned.size, planned.off), (room, vec![12]));

    // One that was larger leaves its room behind, until the first picture is another one.
    (now.size, now.all[1].lit) = ((5760, 2160), None);
    assert_eq!(plan(&now, apart), Ok(Plan::default()));
    let turned = plan(&now, Wanted { degrees: Some(90), ..apart }).expect("it turns");
    assert_eq!(turned.size, (2160, 1920));
}
