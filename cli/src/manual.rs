//! Completion scripts and manual pages, made from the definition of the flags.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::{self, Cli};
use crate::output;

/// Prints the completion script of a shell.
pub(crate) fn completions(args: &args::Completions) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "klamm", &mut script);
    output::print(&String::from_utf8_lossy(&script));
}

/// Prints a manual page, in roff.
pub(crate) fn page(args: &args::Man) {
    match render(args.command.as_deref()) {
        Ok(page) => output::print(&page),
        Err(error) => output::note(&error),
    }
}

fn render(command: Option<&str>) -> io::Result<String> {
    let mut all = Cli::command();
    // Subcommands learn their full names and the global flags.
    all.build();
    let chosen = command.and_then(|name| all.find_subcommand(name));
    let page = match chosen {
        // As git's pages are called: klamm-produce(1), with its synopsis as it is typed.
        Some(command) => Man::new(command.clone().display_name(format!("klamm-{}", command.get_name()))),
        None => Man::new(all.clone()),
    };
    let mut roff = Vec::new();
    page.render(&mut roff)?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let names: Vec<_> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(names, ["produce", "perf", "metadata", "completions", "man"]);
        for name in &names {
            let page = render(Some(name)).unwrap();
            assert!(
                page.contains(&format!(".TH klamm\\-{name} 1")) || page.contains(&format!(".TH klamm-{name} 1")),
                "{page}"
            );
            assert!(page.contains(&format!("klamm {name}")) || page.contains(&format!("klamm\\-{name}")), "{page}");
        }
        assert!(render(None).unwrap().contains("metadata"));
    }
}
