// Sends features over a socket to a live run of punctum, in the framing that `punctum run --stream` reads.
//
//   c++ -std=c++17 -O2 send_features.cpp -o send_features
//   punctum run BUNDLE tcp://127.0.0.1:7007 --stream --max-delay 1 &        # prints the events
//   ./send_features 127.0.0.1 7007 DIM STRIDE_S < features.f32              # float32 rows of DIM numbers
//
// Prints how many snippets it sent. A program that computes features calls `Sender::push` for each new row instead of
// reading standard input. If the receiver asks for a token (PUNCTUM_SOCKET_TOKEN), set the same variable here. Needs a
// little-endian machine (x86, ARM) and POSIX sockets.
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<unsigned char>;

template <class T>
void append(Bytes& out, const T& value) {
  const auto* first = reinterpret_cast<const unsigned char*>(&value);
  out.insert(out.end(), first, first + sizeof value);
}

std::uint32_t crc32(const Bytes& data) {  // the CRC of zlib and PNG
  std::uint32_t crc = 0xFFFFFFFFu;
  for (unsigned char byte : data) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

class Sender {
 public:
  Sender(const std::string& host, const std::string& port, std::uint32_t dim, double stride_s, const std::string& name) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) throw std::runtime_error("unknown host " + host);
    for (addrinfo* at = found; at != nullptr && socket_ < 0; at = at->ai_next) {
      const int fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
      if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) socket_ = fd;
      else if (fd >= 0) close(fd);
    }
    freeaddrinfo(found);
    if (socket_ < 0) throw std::runtime_error("nothing listens at " + host + ":" + port);
    if (const char* token = std::getenv("PUNCTUM_SOCKET_TOKEN"); token != nullptr && *token != '\0') {
      Bytes hello{'P', 'N', 'C', 'A'};
      append(hello, static_cast<std::uint32_t>(std::strlen(token)));
      hello.insert(hello.end(), token, token + std::strlen(token));
      write(hello);
    }
    Bytes header{'P', 'N', 'C', 'T'};
    append(header, std::uint16_t{1});  // version
    append(header, std::uint16_t{1});  // float32
    append(header, dim);
    append(header, static_cast<std::uint32_t>(name.size()));
    append(header, stride_s);
    append(header, 0.0);  // media time of the first snippet
    header.insert(header.end(), name.begin(), name.end());
    append(header, crc32(header));
    write(header);
  }
  ~Sender() { close(socket_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // The next snippet. Its time follows the last one; a number instead of NaN declares a gap.
  void push(const std::vector<float>& row) { record(1, 1, row.data(), row.size() * sizeof(float)); }
  // Tells the receiver that the stream has ended, and was not cut.
  void end() { record(2, 0, nullptr, 0); }

 private:
  void record(std::uint32_t type, std::uint32_t snippets, const void* payload, std::size_t size) {
    Bytes head;
    append(head, type);
    append(head, snippets);
    append(head, std::numeric_limits<double>::quiet_NaN());
    append(head, static_cast<std::uint32_t>(size));
    Bytes checked = head;
    const auto* first = static_cast<const unsigned char*>(payload);
    checked.insert(checked.end(), first, first + size);
    append(head, crc32(checked));
    head.insert(head.end(), first, first + size);
    write(head);
  }
  void write(const Bytes& data) {
    for (std::size_t sent = 0; sent < data.size();) {
      const ssize_t count = send(socket_, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
      if (count < 0) throw std::runtime_error("the receiver closed the connection");
      sent += static_cast<std::size_t>(count);
    }
  }
  int socket_ = -1;
};

int main(int count, char** words) try {
  if (count != 5) throw std::runtime_error("usage: send_features HOST PORT DIM STRIDE_S < floats");
  const auto dim = static_cast<std::uint32_t>(std::stoul(words[3]));
  Sender sender(words[1], words[2], dim, std::stod(words[4]), "cpp");
  std::vector<float> row(dim);
  std::size_t sent = 0;
  while (std::cin.read(reinterpret_cast<char*>(row.data()), static_cast<std::streamsize>(dim * sizeof(float)))) {
    sender.push(row);
    ++sent;
  }
  sender.end();
  std::printf("sent %zu snippets\n", sent);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
