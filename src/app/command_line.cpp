#include "app/command_line.h"

#include <array>
#include <optional>
#include <utility>

#include "revproxyd/config/suggest.h"

namespace revproxyd::app {

namespace {

constexpr std::string_view kUsage =
    R"(usage: revproxyd -c FILE                      run in the foreground
       revproxyd --listen ADDR --to URL[,URL...]  run without a file
       revproxyd -t [--strict] -c FILE         test the configuration
       revproxyd -T -c FILE                    print it with every default
       revproxyd ctl VERB [--socket PATH] [-c FILE]
       revproxyd upgrade [--socket PATH] [-c FILE]

  -c FILE          the configuration
  -t               test it and the requests under 'tests:', then exit
  -T               print the effective configuration, secrets hidden, then exit
  --strict         warnings count: exit with 2
  --schema         print a JSON Schema of the configuration, then exit
  --listen ADDR    listen here: ":8080", 127.0.0.1:8080, [::1]:8080, unix:/path
  --to URL,...     forward everything to these servers
  --socket PATH    the admin socket that ctl talks to
  -V               print the version and those of the libraries, then exit
  -h, --help       print this, then exit

ctl reload         take up the configuration, and wait until it is in force
ctl upgrade        replace the running binary without a stop; so does upgrade alone
ctl drain          stop when what is under way has ended
ctl status         what runs, for people
ctl stats          counters, as JSON

exit codes: 0 ok, 1 bad configuration or command line, 2 warnings under --strict,
            3 cannot bind or another failure to start, to print, or to reach the daemon
)";

constexpr std::array<std::string_view, 5> kVerbs{"reload", "upgrade", "drain", "status", "stats"};

constexpr std::array<std::string_view, 10> kOptions{
    "-c", "-t", "-T", "-V", "-h", "--help", "--strict", "--schema", "--listen", "--to"};

/// Walks over the arguments.
class Parser {
 public:
  explicit Parser(std::span<const std::string_view> arguments) : arguments_(arguments) {}

  CommandLine run() {
    while (at_ < arguments_.size() && out_.action != Action::refuse) take(arguments_[at_++]);
    if (out_.action != Action::refuse) check();
    return std::move(out_);
  }

 private:
  void refuse(std::string problem, std::string hint = {}) {
    if (out_.action == Action::refuse) return;
    out_.action = Action::refuse;
    out_.problem = std::move(problem);
    out_.hint = std::move(hint);
  }

  void take(std::string_view argument) {
    std::string_view name = argument;
    value_.reset();
    const std::size_t equals = argument.find('=');
    if (argument.starts_with("--") && equals != std::string_view::npos) {
      name = argument.substr(0, equals);
      value_ = argument.substr(equals + 1);
    }
    if (name == "-c" || name == "--listen" || name == "--to" || name == "--socket")
      return option(name);
    if (value_) return flag_value(name);
    if (name == "--strict")
      out_.strict = true;
    else if (name == "-t")
      act(name, Action::test);
    else if (name == "-T")
      act(name, Action::print);
    else if (name == "-V")
      act(name, Action::version);
    else if (name == "--schema")
      act(name, Action::schema);
    else if (name == "-h" || name == "--help")
      act(name, Action::help);
    else if (name == "ctl" && at_ == 1)
      act(name, Action::control);
    else if (name == "upgrade" && at_ == 1)
      upgrade();
    else if (!name.starts_with('-') && out_.action == Action::control && out_.verb.empty() &&
             !name.empty())
      out_.verb = name;
    else
      unknown(name);
  }

  void option(std::string_view name) {
    if (!value_ && at_ < arguments_.size()) value_ = arguments_[at_++];
    if (!value_ || value_->empty()) return refuse("'" + std::string(name) + "' needs a value");
    if (name == "--to") return targets(*value_);
    std::string& into = name == "-c" ? out_.config : name == "--listen" ? out_.listen : out_.socket;
    if (!into.empty()) return refuse("'" + std::string(name) + "' is given twice");
    into = *value_;
  }

  void targets(std::string_view list) {
    for (;;) {
      const std::size_t comma = list.find(',');
      const std::string_view url = list.substr(0, comma);
      if (url.empty()) return refuse("an empty URL behind '--to'");
      out_.to.emplace_back(url);
      if (comma == std::string_view::npos) return;
      list.remove_prefix(comma + 1);
    }
  }

  void act(std::string_view name, Action action) {
    if (!action_.empty() && action_ != name)
      return refuse("'" + action_ + "' and '" + std::string(name) + "' together");
    action_ = name;
    out_.action = action;
  }

  void upgrade() {
    act("upgrade", Action::control);
    out_.verb = "upgrade";
  }

  void flag_value(std::string_view name) {
    if (name == "--strict" || name == "--schema" || name == "--help")
      return refuse("'" + std::string(name) + "' takes no value");
    unknown(name);
  }

  void unknown(std::string_view name) {
    const std::vector<std::string_view> words(kOptions.begin(), kOptions.end());
    const bool option = name.starts_with('-');
    std::string hint = name == "-v" || name == "--version" ? "did you mean '-V'?"
                                                           : config::did_you_mean(name, words);
    if (hint.empty())
      hint = option ? "see revproxyd --help" : "a configuration is given with -c FILE";
    refuse((option ? "unknown option '" : "unexpected '") + std::string(name) + "'",
           std::move(hint));
  }

  void check() {
    const bool inline_given = !out_.listen.empty() || !out_.to.empty();
    const bool control = out_.action == Action::control;
    if (out_.action == Action::version || out_.action == Action::help ||
        out_.action == Action::schema)
      return;
    if (control && out_.verb.empty()) return refuse("'ctl' needs a verb", "there are " + verbs());
    if (control && inline_given) return refuse("'--listen' and '--to' are not for ctl");
    if (!control && !out_.socket.empty()) return refuse("'--socket' is for ctl only");
    if (control) return;
    if (inline_given && !out_.config.empty())
      return refuse("'-c' together with '--listen' and '--to'");
    if (inline_given && out_.to.empty())
      return refuse("'--listen' without '--to'", "add --to http://127.0.0.1:9000");
    if (inline_given && out_.listen.empty())
      return refuse("'--to' without '--listen'", "add --listen 127.0.0.1:8080");
    if (!inline_given && out_.config.empty())
      return refuse("no configuration", "give -c FILE, or --listen ADDR and --to URL");
    if (out_.strict && out_.action == Action::print) return refuse("'--strict' is not for -T");
  }

  std::span<const std::string_view> arguments_;
  std::size_t at_ = 0;
  std::optional<std::string_view> value_;  // behind '='
  std::string action_;                     // the word that set the action
  CommandLine out_;
};

}  // namespace

CommandLine parse_command_line(std::span<const std::string_view> arguments) {
  return Parser(arguments).run();
}

std::string verbs() {
  std::string text;
  for (const std::string_view verb : kVerbs)
    text += (text.empty() ? "" : verb == kVerbs.back() ? " and " : ", ") + std::string(verb);
  return text;
}

std::string_view usage() noexcept { return kUsage; }

}  // namespace revproxyd::app
