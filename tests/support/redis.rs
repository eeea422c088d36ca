//! A real redis-server on a free port of this machine, gone with the value.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A redis-server of this test's own: nothing on disk, killed by its pid on drop.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// Starts one and waits until it answers PING.
    pub fn start() -> Redis {
        // The port is free when it is chosen; another process may take it before Redis does.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            if let Some(redis) = Redis::start_on(port) {
                return redis;
            }
        }
        panic!("redis-server does not start: is it installed (apt install redis-server)?");
    }

    /// Starts on a given port, for instance that of one which was stopped.
    pub fn start_on(port: u16) -> Option<Redis> {
        let port_text = port.to_string();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port_text,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (apt install redis-server)");
        let mut redis = Redis { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if redis.child.try_wait().unwrap().is_some() {
                return None;
            }
            if redis.command(&["PING"]).is_ok_and(|answer| answer.starts_with("+PONG")) {
                return Some(redis);
            }
            std::thread::yield_now();
        }
        None
    }

    #[allow(dead_code, reason = "not every test that includes this file asks for it")]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[allow(dead_code, reason = "not every test that includes this file asks for it")]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid is small")
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sends one command and gives the raw answer (RESP), as far as it comes in one piece.
    pub fn command(&self, words: &[&str]) -> std::io::Result<String> {
        let wait = Duration::from_secs(2);
        let mut socket = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), wait)?;
        socket.set_read_timeout(Some(wait))?;
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        socket.write_all(text.as_bytes())?;
        let mut answer = [0; 4096];
        let length = socket.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// Stops it; the port stays known.
    pub fn stop(mut self) -> u16 {
        self.kill();
        self.port
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
