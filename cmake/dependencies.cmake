# Every library the tree links, as imported targets dep_<name>; only the folder that owns a dependency names it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

foreach(pair "uv libuv" "yaml yaml-0.1" "jansson jansson" "sodium libsodium" "microhttpd libmicrohttpd" "sqlite sqlite3" "zlib zlib")
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

# gRPC: HTTP/2 is small and goes in as a static library; OpenSSL stays shared, so that the distribution mends it.
pkg_check_modules(ssl REQUIRED IMPORTED_TARGET openssl>=3.0)
add_library(dep_ssl INTERFACE)
target_link_libraries(dep_ssl INTERFACE PkgConfig::ssl)
find_path(NGHTTP2_INCLUDE nghttp2/nghttp2.h REQUIRED)
find_library(NGHTTP2_LIBRARY NAMES libnghttp2.a nghttp2 REQUIRED)
add_library(dep_nghttp2 INTERFACE)
target_include_directories(dep_nghttp2 SYSTEM INTERFACE ${NGHTTP2_INCLUDE})
target_link_libraries(dep_nghttp2 INTERFACE ${NGHTTP2_LIBRARY})

# Only its headers: src/net/curl/curl.c opens the library when a plugin first needs it.
pkg_check_modules(curl REQUIRED libcurl>=7.85)
add_library(dep_curl INTERFACE)
target_include_directories(dep_curl SYSTEM INTERFACE ${curl_INCLUDE_DIRS})
target_link_libraries(dep_curl INTERFACE dl)

# Messages of plugins and of MPI in protobuf: C from proto/ at build time. What is not used of it is not linked, so the static
# library adds some kilobytes and no shared object.
find_program(OTR_PROTOC protoc REQUIRED)
find_program(OTR_PROTOC_GEN_C protoc-gen-c REQUIRED)
find_path(PROTOBUF_C_INCLUDE protobuf-c/protobuf-c.h REQUIRED)
find_path(PROTOBUF_TYPES google/protobuf/struct.proto REQUIRED)
find_library(PROTOBUF_C_LIBRARY NAMES libprotobuf-c.a protobuf-c REQUIRED)
set(OTR_PROTO_SOURCES)
set(OTR_PROTO_OUT ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${OTR_PROTO_OUT})
file(GLOB OTR_PROTO_FILES CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/proto ${CMAKE_SOURCE_DIR}/proto/outrider/plugin/v1/*.proto
  ${CMAKE_SOURCE_DIR}/proto/mpi/v1/*.proto)
list(TRANSFORM OTR_PROTO_FILES PREPEND ${CMAKE_SOURCE_DIR}/proto/ OUTPUT_VARIABLE OTR_PROTO_PATHS)
foreach(proto ${OTR_PROTO_FILES} google/protobuf/struct.proto google/protobuf/timestamp.proto)
  string(REGEX REPLACE "[.]proto$" ".pb-c" made ${OTR_PROTO_OUT}/${proto})
  add_custom_command(OUTPUT ${made}.c ${made}.h
    COMMAND ${OTR_PROTOC} --plugin=protoc-gen-c=${OTR_PROTOC_GEN_C} -I ${CMAKE_SOURCE_DIR}/proto -I ${PROTOBUF_TYPES}
      --c_out=${OTR_PROTO_OUT} ${proto}
    DEPENDS ${OTR_PROTO_PATHS} VERBATIM)
  list(APPEND OTR_PROTO_SOURCES ${made}.c ${made}.h)
endforeach()
add_library(otr_messages STATIC ${OTR_PROTO_SOURCES})
target_compile_options(otr_messages PRIVATE -w)
target_include_directories(otr_messages SYSTEM PUBLIC ${OTR_PROTO_OUT} ${PROTOBUF_C_INCLUDE})
target_link_libraries(otr_messages PUBLIC ${PROTOBUF_C_LIBRARY})
add_library(dep_protobuf INTERFACE)
target_link_libraries(dep_protobuf INTERFACE otr_messages)

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
