# cmake -DFROM=x.wat -DTO=x.wat.h -DNAME=otr_x -P embed.cmake: the text without comments and indentation as a C array.
file(READ ${FROM} text)
string(REGEX REPLACE ";;[^\n]*" "" text "${text}")
string(REGEX REPLACE "[ \t\n]+" " " text "${text}")
string(HEX "${text}" hex)
string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
get_filename_component(file ${FROM} NAME)
file(WRITE ${TO} "/* Made from ${file} by cmake/embed.cmake. */\nstatic const unsigned char ${NAME}[] = {\n    ${hex}\n};\n")
