//! The command; everything else stands in the library beside it.

fn main() -> std::process::ExitCode {
    wgrad_course::main()
}
