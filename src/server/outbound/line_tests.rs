use std::time::Duration;

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::{
    super::{Round, chunk::tests::event},
    *,
};
use crate::event::Position;

const BOUNDS: Bounds = Bounds { events: 4, bytes: 400_000 };

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

/// A live line that has nothing, and its client.
async fn live() -> (Line, TcpStream) {
    let (server, client) = pair().await;
    let line = Line::new(BOUNDS);
    line.connect(server);
    line.go_live(cursor(0));
    (line, client)
}

fn cursor(offset: u64) -> Cursor {
    Cursor::new([Position { epoch: "e".into(), offset }], None)
}

fn chunk(from: u64, to: u64, bytes: usize) -> Arc<Chunk> {
    let text = "x".repeat(bytes);
    let events: Vec<_> = (from..=to)
        .map(|n| crate::server::store::Committed { text: text.clone().into(), ..event(n, "all", n, None) })
        .collect();
    let mut round = Round::default();
    events.iter().for_each(|event| round.push(event));
    round.take().next().unwrap()
}

async fn read(client: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    tokio::time::timeout(Duration::from_secs(10), client.read_exact(&mut buffer)).await.unwrap().unwrap();
    buffer
}

#[tokio::test]
async fn what_a_round_brings_goes_out_in_one_flush_and_the_task_is_not_needed() {
    let (line, mut client) = live().await;
    assert_eq!(line.give(0, &chunk(1, 2, 3)), Given::Flush);
    assert_eq!(line.give(0, &chunk(3, 3, 3)), Given::Kept, "it is listed once");
    line.flush();
    assert_eq!(read(&mut client, 15).await, b"\x81\x03xxx".repeat(3));
    assert!(matches!(line.state(), State::Empty));
    assert_eq!(line.give(0, &chunk(4, 4, 3)), Given::Flush);
}

#[tokio::test]
async fn what_the_client_has_already_is_not_sent_again_and_what_it_missed_ends_it() {
    let (line, mut client) = live().await;
    line.give(0, &chunk(1, 3, 3));
    assert_eq!(line.give(0, &chunk(1, 3, 3)), Given::Kept);
    line.give(0, &chunk(2, 4, 1));
    line.flush();
    assert_eq!(read(&mut client, 18).await, [&b"\x81\x03xxx".repeat(3)[..], b"\x81\x01x"].concat());
    assert!(matches!(line.give(0, &chunk(6, 6, 3)), Given::Broken(why) if why.contains("missed")));
}

#[tokio::test]
async fn live_events_wait_for_a_session_that_is_catching_up_and_are_bounded() {
    let (server, mut client) = pair().await;
    let line = Line::new(BOUNDS);
    assert_eq!(line.give(0, &chunk(1, 2, 3)), Given::Kept);
    line.connect(server);
    line.say(b"hi".to_vec());
    assert_eq!(line.give(0, &chunk(3, 4, 3)), Given::Kept);
    assert_eq!(read(&mut client, 2).await, b"hi");
    line.go_live(cursor(3));
    assert_eq!(read(&mut client, 5).await, b"\x81\x03xxx", "1 to 3 came with the history");

    let line = Line::new(BOUNDS);
    assert_eq!(line.give(0, &chunk(1, 4, 3)), Given::Kept);
    assert_eq!(line.give(0, &chunk(5, 5, 3)), Given::Full);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_at_its_bound_and_gets_whole_frames_and_then_its_close_frame() {
    let (line, mut client) = live().await;
    let mut given = 0;
    // The kernel takes some megabytes; then it is the line that fills, to its bound.
    while line.give(0, &chunk(given + 1, given + 1, 60_000)) != Given::Full {
        line.flush();
        given += 1;
        assert!(given < 10_000);
    }
    assert!(matches!(line.state(), State::Blocked { is_full: false }));
    line.close(CloseCode::Slow, "slow");
    line.close(CloseCode::GoingAway, "later");
    assert!(matches!(line.state(), State::Closing(CloseCode::Slow, _)), "the first reason stays");
    line.shut(super::super::frame::close(CloseCode::Slow, "slow"), false);
    let reading = tokio::spawn(async move {
        let mut frames = 0;
        loop {
            let head = read(&mut client, 2).await;
            if head[0] == 0x88 {
                return (frames, read(&mut client, 6).await);
            }
            assert_eq!(head, [0x81, 126]);
            assert_eq!(read(&mut client, 2).await, 60_000_u16.to_be_bytes());
            read(&mut client, 60_000).await;
            frames += 1;
        }
    });
    while !matches!(line.state(), State::Empty) {
        line.stream().unwrap().writable().await.unwrap();
        line.resume();
    }
    let (frames, close) = reading.await.unwrap();
    assert_eq!(close, b"\x0f\xa1slow");
    assert!(frames > 0 && frames < given, "{frames} of {given}: what was not begun is left to the resume");
    assert_eq!(line.give(0, &chunk(given + 1, given + 1, 3)), Given::Kept, "nothing is said after a close frame");
}

#[tokio::test]
async fn a_client_that_is_gone_is_noticed_at_the_next_write() {
    let (line, client) = live().await;
    client.set_zero_linger().unwrap();
    drop(client);
    let mut number = 0;
    while !matches!(line.state(), State::Gone) {
        number += 1;
        line.give(0, &chunk(number, number, 3));
        line.flush();
        tokio::task::yield_now().await;
    }
}
