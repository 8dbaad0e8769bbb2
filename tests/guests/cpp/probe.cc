#include <string>
int probe() { return static_cast<int>(std::to_string(1).size()); }
