#include <charconv>
#include <cmath>
#include <cstdint>

#include "json.h"

namespace punctum::json {
namespace {

constexpr int kDeepest = 64;

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Value document() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") fault("a byte order mark");
    Value value = read(0);
    space();
    if (at_ < text_.size()) fault("something after the end of the document");
    return value;
  }

 private:
  [[noreturn]] void fault(const std::string& what) const {
    std::size_t line = 1, column = 1;
    for (std::size_t i = 0; i < at_ && i < text_.size(); ++i) {
      if (text_[i] == '\n') {
        ++line, column = 1;
      } else {
        ++column;
      }
    }
    throw Fault{what, line, column};
  }

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  bool take(char c) {
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }

  Value read(int depth) {
    if (depth > kDeepest) fault("more than 64 levels");
    space();
    if (at_ >= text_.size()) fault("the text ends too early");
    Value value;
    const char c = text_[at_];
    if (c == '{') {
      object(value, depth);
    } else if (c == '[') {
      array(value, depth);
    } else if (c == '"') {
      value.kind = Kind::string;
      value.string = string();
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      value.kind = Kind::number;
      value.number = real();
    } else if (word("true") || word("false")) {
      value.kind = Kind::boolean;
      value.boolean = c == 't';
    } else if (!word("null")) {
      fault("no JSON value");
    }
    return value;
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

  void object(Value& value, int depth) {
    value.kind = Kind::object;
    ++at_;
    space();
    if (take('}')) return;
    do {
      space();
      if (at_ >= text_.size() || text_[at_] != '"') fault("no key");
      std::string key = string();
      space();
      if (!take(':')) fault("no colon after a key");
      value.members.emplace_back(std::move(key), read(depth + 1));
      space();
    } while (take(','));
    if (!take('}')) fault("an object that does not end");
  }

  void array(Value& value, int depth) {
    value.kind = Kind::array;
    ++at_;
    space();
    if (take(']')) return;
    do {
      value.items.push_back(read(depth + 1));
      space();
    } while (take(','));
    if (!take(']')) fault("an array that does not end");
  }

  bool digits() {
    const std::size_t first = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > first;
  }

  double real() {
    const std::size_t first = at_;
    take('-');
    if (!take('0') && !digits()) fault("no number");
    if (take('.') && !digits()) fault("no digit after the point");
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (!take('+')) take('-');
      if (!digits()) fault("no digit in the exponent");
    }
    double value = 0.0;
    const auto got = std::from_chars(text_.data() + first, text_.data() + at_, value);
    if (got.ec == std::errc::result_out_of_range) {
      // Too small reads as 0, too large is refused; from_chars says only that it is one of the two.
      const std::string_view spelled = text_.substr(first, at_ - first);
      const std::size_t e = spelled.find_first_of("eE");
      if (e == std::string_view::npos || spelled[e + 1] != '-') fault("a number beyond the range of float64");
      return 0.0;
    }
    if (got.ec != std::errc() || !std::isfinite(value)) fault("no number");
    return value;
  }

  unsigned hex4() {
    unsigned code = 0;
    if (text_.size() - at_ < 4) fault("a broken escape");
    const auto got = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, code, 16);
    if (got.ec != std::errc() || got.ptr != text_.data() + at_ + 4) fault("a broken escape");
    at_ += 4;
    return code;
  }

  static void encode(std::uint32_t code, std::string& out) {
    const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F)), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
    }
  }

  void escape(std::string& out) {
    if (at_ >= text_.size()) fault("a string that does not end");
    const char c = text_[at_++];
    static constexpr std::string_view names = "\"\\/bfnrt", plain = "\"\\/\b\f\n\r\t";
    const std::size_t known = names.find(c);
    if (known != std::string_view::npos) {
      out.push_back(plain[known]);
      return;
    }
    if (c != 'u') fault("an unknown escape");
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00) {
      if (!word("\\u")) fault("half a surrogate pair");
      const std::uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fault("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fault("half a surrogate pair");
    }
    encode(code, out);
  }

  std::string string() {
    std::string out;
    const std::size_t opened = at_++;
    for (;;) {
      const std::size_t first = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20)
        ++at_;
      out.append(text_.substr(first, at_ - first));
      if (at_ >= text_.size()) fault("a string that does not end");
      if (take('"')) break;
      if (!take('\\')) fault("a control character in a string");
      escape(out);
    }
    if (out.find('\0') == std::string::npos && !is_text(out)) {
      at_ = opened;
      fault("a string that is not UTF-8");
    }
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    if (member->first == key) return &member->second;
  }
  return nullptr;
}

Value parse(std::string_view text) { return Reader(text).document(); }

bool is_run_id(std::string_view text) {
  return text.size() <= 64 && text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                                     "0123456789._-") == std::string_view::npos;
}

bool is_text(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned lead = byte(at);
    if (lead == 0) return false;
    const std::size_t more = lead < 0x80 ? 0 : lead >= 0xC2 && lead < 0xE0 ? 1 : lead >= 0xE0 && lead < 0xF0 ? 2
                             : lead >= 0xF0 && lead < 0xF5                 ? 3
                                                                           : 4;
    if (more == 4 || bytes.size() - at <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      if ((byte(at + k) & 0xC0) != 0x80) return false;
    }
    const unsigned second = more > 0 ? byte(at + 1) : 0;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F))
      return false;
    at += more + 1;
  }
  return true;
}

}  // namespace punctum::json
