//! The same command as a test, so that the check builds the course with what else it builds. Without arguments it lists the
//! lessons.

fn main() -> std::process::ExitCode {
    wgrad_course::main()
}
