# `make demo` and `make test` do all the rest by themselves, what they need to install included.

ARGS ?=
PIKIOSK := target/debug/pikiosk

# Whoever is root, or gives a DESTDIR of his own, needs no sudo.
SUDO := $(shell [ "$$(id -u)" = 0 ] || [ -n "$(DESTDIR)" ] || echo sudo)

.PHONY: help demo install drill proof-kills test check aarch64 image deb boot-test boot-compare bench bench-server bench-flash \
	bench-provision provision-roots proof-kill-display proof-kill-flash proof-history proof-history-mutants \
	proof-autobahn fuzz proof-bad-cards proof-power-cut needs python proof-tickets

help: ## Tells what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Shows what this is: server, display, real Firefox (ARGS="--headless --tour DIR")
	@.ci/needs || echo "Going on with what there is."
	cargo build --bin pikiosk
	@$(PIKIOSK) demo $(ARGS)

test: needs python ## Runs every test, with a real Firefox, Redis and Python clients
	cargo test --no-fail-fast

check: ## Format, lints for all features and each alone, documentation
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --no-default-features --features display -- -D warnings
	cargo clippy --all-targets --no-default-features --features server -- -D warnings
	cargo clippy --all-targets --no-default-features --features tools -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

bench: needs ## Measures: push to shown, fan-out, memory, start, size (minutes; leave the machine alone)
	cargo build --release --target-dir target/display --no-default-features --features display
	cargo bench --profile fast --bench figures -- $(ARGS)

provision-roots: needs ## Makes whole Debian systems kiosks, bookworm and trixie, also as Raspberry Pi OS has them (20 minutes)
	PIKIOSK_ROOTS=all cargo test --test provision_roots -- --nocapture

bench-provision: needs ## Measures: provision twice, beside ansible doing the same on the same root (5 minutes)
	cargo build --release --bin pikiosk
	@benches/provision.sh

install: ## Puts pikiosk, its manual pages and the server's units on this machine (some minutes)
	@.ci/needs install
	cargo build --release --bin pikiosk
	$(SUDO) install -D -m 755 target/release/pikiosk $(DESTDIR)/usr/bin/pikiosk
	$(SUDO) install -D -m 644 -t $(DESTDIR)/etc/systemd/system systemd/pikiosk-server.service systemd/pikiosk-server.socket
	$(SUDO) $(DESTDIR)/usr/bin/pikiosk man --to $(DESTDIR)/usr/local/share/man/man1

drill: needs ## Makes every fault on a display in memory and measures how long it takes to be right again (5 minutes)
	cargo build --bin pikiosk
	@$(PIKIOSK) drill --all --headless $(ARGS)

proof-kills: needs ## 1,000 kills on three displays: none stuck, nothing left, nothing grown (20 minutes; `make test` does 20)
	TMPDIR=/dev/shm PIKIOSK_KILLS=1000 PIKIOSK_DISPLAYS=3 cargo test --test kiosk_kills -- --nocapture

proof-kill-display: needs ## Kills the supervisor 100 times at random moments of real work (2 minutes; `make test` does 5)
	PIKIOSK_KILLS=100 cargo test --test kiosk_killed

bench-server: .venv/bench ## Measures the server beside nats, mosquitto, nchan, Tornado (20 minutes; ARGS="--quick" 3; leave the machine alone)
	cargo bench --profile release --no-default-features --features server --bench server -- $(ARGS)

.venv/bench: benches/server/requirements.txt
	@.ci/needs bench || echo "Going on with what there is."
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench-flash: ## Measures flashing beside dd and bmaptool on emulated cards (root, 8 minutes; leave the machine alone)
	cargo build --release --no-default-features --features tools --target-dir target/tools
	PIKIOSK=target/tools/release/pikiosk benches/flash.sh

proof-tickets: needs ## 2,000 tickets, 8 racers each over two servers on one Redis: one socket each, none after 21 s (3 minutes; `make test` does 200)
	PIKIOSK_TICKETS=2000 cargo test --test two_nodes ticket -- --nocapture

proof-kill-flash: ## Kills a flash 200 times at random moments (2 minutes; `make test` does 20)
	PIKIOSK_KILLS=200 cargo test --test flash_cards killed -- --nocapture

# A network namespace of its own, where root allows: black holes are made in it and nowhere else.
OWN_NETWORK := $(shell [ "$$(id -u)" = 0 ] && unshare --net true 2>/dev/null && echo unshare --net)

proof-history: ## 100,000 commands to 200 displays with 500 faults, and a judge: nothing lost, twice, out of order (20 minutes)
	cargo test --profile fast --no-default-features --features server --test history --no-run
	PIKIOSK_DISPLAYS=200 PIKIOSK_COMMANDS=100000 PIKIOSK_FAULTS=500 $(OWN_NETWORK) tests/history/alone.sh \
		cargo test --offline --profile fast --no-default-features --features server --test history whatever_goes_wrong -- --nocapture

proof-history-mutants: ## Servers without fsync, dedupe, epochs ...: the same judge must find each of them out (30 minutes)
	tests/history/mutants.sh $(ARGS)

proof-autobahn: ## RFC 6455 by the Autobahn|Testsuite, in a Debian with Python 2 that is made for it (root; 10 minutes the first time)
	tests/autobahn/prepare.sh target/autobahn || true
	cargo test --no-default-features --features server --test autobahn -- --ignored --nocapture

fuzz: ## Every parser with bytes of strangers, a minute each; guided by coverage where cargo-fuzz and a nightly compiler are
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
		for target in $$(cargo +nightly fuzz list); do cargo +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done; \
	else \
		echo "NOT GUIDED BY COVERAGE: cargo-fuzz or a nightly compiler is missing (cargo install cargo-fuzz)"; \
		PIKIOSK_FUZZ_SECONDS=60 cargo test --no-default-features --features server --test fuzz -- --nocapture; \
	fi

proof-bad-cards: ## Cards that fail below the kernel, by qemu-storage-daemon and FUSE
	@command -v qemu-storage-daemon >/dev/null || $$([ $$(id -u) = 0 ] || echo sudo) apt-get install --yes --no-install-recommends qemu-utils qemu-system-common
	cargo test --test flash_cards below_the_kernel -- --ignored --nocapture

proof-power-cut: needs ## The power goes at 10,000 places among the writes of a display: nothing it promised is torn, missing or old (root; 5 minutes)
	PIKIOSK_STATES=10000 cargo test --no-default-features --features display --test power_cut -- --nocapture --test-threads 1

aarch64: ## Builds the Pi's own binary into target/aarch64/, and tries it on an emulated Pi's processor (4 minutes)
	@image/aarch64
	@image/aarch64-smoke

image: aarch64 ## Builds the image of a Pi 3 into target/image/, as root (12 minutes; 4 if the packages of today are there)
	cargo build --bin pikiosk
	@image/build.sh $(ARGS)

deb: aarch64 ## Packs it for Debian and Raspberry Pi OS, into target/deb/
	@image/deb

boot-test: ## Boots the image of `make image` in QEMU as a Pi 3 would: page, message, kill -9 Firefox (6 minutes, idle)
	@image/boot/needs
	cargo build --bin pikiosk
	@image/boot-test $(ARGS)

boot-compare: ## Boots that image twice, as pikiosk and as a hand-made kiosk: CPU-seconds to the page, memory
	@image/boot/needs
	cargo build --bin pikiosk
	@image/boot-compare $(ARGS)

needs: ## Installs what demo and test use and this machine lacks; says it
	@.ci/needs

python: .venv/ready ## The clients in another language that the tests use, in .venv

.venv/ready: tests/python/requirements.txt
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
