# Every library the tree links, as imported targets dep_<name>; only the folder that owns a dependency names it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

foreach(pair "uv libuv" "yaml yaml-0.1" "jansson jansson" "sodium libsodium" "microhttpd libmicrohttpd" "sqlite sqlite3")
  separate_arguments(pair)
  list(GET pair 0 name)
  list(GET pair 1 package)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${package})
  add_library(dep_${name} INTERFACE)
  target_link_libraries(dep_${name} INTERFACE PkgConfig::${name})
endforeach()

find_path(HTTP_PARSER_INCLUDE http_parser.h REQUIRED)
find_library(HTTP_PARSER_LIBRARY NAMES libhttp_parser.a http_parser REQUIRED)
add_library(dep_http_parser INTERFACE)
target_include_directories(dep_http_parser SYSTEM INTERFACE ${HTTP_PARSER_INCLUDE})
target_link_libraries(dep_http_parser INTERFACE ${HTTP_PARSER_LIBRARY})

# Only its headers: src/plugin/curl.c opens the library when a plugin first needs it.
pkg_check_modules(curl REQUIRED libcurl>=7.85)
add_library(dep_curl INTERFACE)
target_include_directories(dep_curl SYSTEM INTERFACE ${curl_INCLUDE_DIRS})
target_link_libraries(dep_curl INTERFACE dl)

# The engines are built once by tools/build-engines, outside the tree (or WASMTIME_DIR names an installed one).
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/build-engines OUTPUT_VARIABLE OTR_ENGINES_DIR
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_library(OTR_ENGINES_LIBRARY NAMES outrider_engines wasmtime PATHS ${OTR_ENGINES_DIR}/lib NO_DEFAULT_PATH NO_CACHE REQUIRED)
add_library(dep_engines INTERFACE)
target_include_directories(dep_engines SYSTEM INTERFACE ${OTR_ENGINES_DIR}/include)
if(EXISTS ${OTR_ENGINES_DIR}/include/outrider_engines.h) # an installed Wasmtime lacks what engines/ adds
  target_compile_definitions(dep_engines INTERFACE OTR_ENGINES_OURS=1)
endif()
target_link_libraries(dep_engines INTERFACE ${OTR_ENGINES_LIBRARY} Threads::Threads m dl)
