//! One file per subcommand; arguments, output, logging, failure.
