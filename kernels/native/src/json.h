// A small reader of JSON (RFC 8259), for manifests and recordings: strict, bounded in depth, no recursion traps.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace punctum::json {

enum class Kind { null, boolean, number, string, array, object };

struct Value {
  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0.0;
  std::string string;
  std::vector<Value> items;                            // of an array
  std::vector<std::pair<std::string, Value>> members;  // of an object, in order; a key may come twice

  // The last member of that name, as Python takes it; nullptr where there is none or this is no object.
  const Value* find(std::string_view key) const;
};

struct Fault {
  std::string what;
  std::size_t line, column;  // from 1
};

// Throws Fault.
Value parse(std::string_view text);

// Whether bytes are UTF-8 without surrogates, overlong forms or zero bytes.
bool is_text(std::string_view bytes);

// Whether text may be a run id: up to 64 letters, digits, dots, dashes, underscores.
bool is_run_id(std::string_view text);

// The text of a string, quoted and escaped as Python's json.dumps(ensure_ascii=False) does.
void quote(std::string_view text, std::string& out);

// The shortest text that reads back as the same double, laid out as Python's repr does.
void number(double value, std::string& out);

}  // namespace punctum::json
