#include "app/commands.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "app/control.h"
#include "app/descriptors.h"
#include "app/route_tests.h"
#include "app/supervisor.h"
#include "app/version.h"
#include "revproxyd/app/load.h"

namespace revproxyd::app {

namespace {

void print(std::FILE* where, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), where);
}

LoadResult load(const CommandLine& command) {
  if (!command.config.empty()) return load_file(command.config);
  return from_command_line(command.listen, command.to);
}

int verdict(const CommandLine& command, std::size_t warnings) {
  return command.strict && warnings != 0 ? kExitWarnings : kExitOk;
}

// Everything but binding and serving; on success the number of warnings.
int test(const CommandLine& command) {
  LoadResult loaded = load(command);
  if (!loaded.ok()) {
    print(stderr, loaded.report.text());
    return kExitBadConfiguration;
  }
  const Built built = build(loaded.settings, nullptr, std::make_shared<tls::TicketKeys>(), 1);
  bool good = built.errors.empty();
  if (good)
    good = run_route_tests(loaded.settings.tests, *built.plan, loaded.secrets, loaded.report);
  print(stderr, loaded.report.text());
  for (const auto& warning : built.warnings) print(stderr, config::said(warning, "warning") + "\n");
  for (const auto& error : built.errors) print(stderr, config::said(error, "error") + "\n");
  if (!good) return kExitBadConfiguration;
  print(stdout, (command.config.empty() ? std::string("command line") : command.config) + ": ok\n");
  return verdict(command, loaded.report.warnings() + built.warnings.size());
}

int print_settings(const CommandLine& command) {
  const LoadResult loaded = load(command);
  print(stderr, loaded.report.text());
  if (!loaded.ok()) return kExitBadConfiguration;
  print(stdout, print_effective(loaded.settings, loaded.secrets));
  return verdict(command, loaded.report.warnings());
}

// Signals that a serving process takes must not end one that has yet to start.
void ignore_signals_until_ready() {
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) std::signal(number, SIG_IGN);
}

int run(const CommandLine& command, const Program& program) {
  ignore_signals_until_ready();
  raise_descriptor_limit();
  Launch launch;
  launch.program = program;
  launch.strict = command.strict;
  launch.successor = Successor::from_environment();
  if (launch.successor == nullptr) {
    launch.inherited = sockets_of_service_manager();
  } else {
    if (!launch.successor->receive()) {
      launch.successor->fail("it did not get all that the old process has");
      return kExitStartFailed;
    }
    launch.inherited = launch.successor->take_sockets();
  }
  const LoadResult loaded = load(command);
  const std::string report = loaded.report.text();
  print(stderr, report);
  int code = loaded.ok() ? kExitOk : kExitBadConfiguration;
  if (loaded.ok()) code = verdict(command, loaded.report.warnings());
  if (code != kExitOk) {
    if (launch.successor != nullptr) launch.successor->fail(report);
    return code;
  }
  if (!command.config.empty()) launch.load = [path = command.config] { return load_file(path); };
  Supervisor supervisor(std::move(launch));
  return supervisor.run(loaded.settings);
}

int control(const CommandLine& command) {
  std::string path = command.socket;
  if (path.empty() && !command.config.empty()) {
    // Whoever asks need not have the secrets and files that the daemon has; what is wrong with the
    // file is for the daemon to say.
    config::Report report;
    const std::optional<AdminSettings> admin = load_admin(command.config, report);
    if (!admin) {
      print(stderr, report.text());
      return kExitBadConfiguration;
    }
    path = admin->socket;
  }
  return ask_daemon(path.empty() ? AdminSettings().socket : path, command.verb);
}

int refuse(const CommandLine& command) {
  print(stderr,
        "revproxyd: " + command.problem + "\n" + (command.hint.empty() ? "" : command.hint + "\n"));
  return kExitBadConfiguration;
}

int act(const CommandLine& command, const Program& program) {
  switch (command.action) {
    case Action::run: return run(command, program);
    case Action::test: return test(command);
    case Action::print: return print_settings(command);
    case Action::schema: print(stdout, json_schema()); return kExitOk;
    case Action::version: print(stdout, version_text()); return kExitOk;
    case Action::help: print(stdout, std::string(usage())); return kExitOk;
    case Action::control: return control(command);
    case Action::refuse: return refuse(command);
  }
  return kExitBadConfiguration;
}

}  // namespace

// What was printed is in a buffer until now, unless it was too large for that.
int run_command(const CommandLine& command, const Program& program) {
  const int code = act(command, program);
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  print(stderr, "revproxyd: cannot write to standard output\n");
  return kExitStartFailed;
}

}  // namespace revproxyd::app
