#include "nginx/instance/id.h"
#include "support/test.h"

static void hex(const uint8_t *p, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < OTR_MD5_BYTES; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

T(md5_gives_the_digests_of_rfc_1321)
{
    static const char *const vectors[][2] = {
        { "", "d41d8cd98f00b204e9800998ecf8427e" },
        { "a", "0cc175b9c0f1b6a831c399e269772661" },
        { "abc", "900150983cd24fb0d6963f7d28e17f72" },
        { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
        { "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
          "d174ab98d277d9f5a5611c2c9f419d9f" },
        { "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
          "57edf4a22be3c955ac49da2e2107b67a" },
    };
    for (size_t i = 0; i < OTR_COUNT(vectors); i++) {
        uint8_t sum[OTR_MD5_BYTES];
        char text[2 * OTR_MD5_BYTES + 1];
        otr_nginx_md5(otr_bytes_of(vectors[i][0]), sum);
        hex(sum, text);
        CHECK_STR(text, vectors[i][1]);
    }
}

T(md5_pads_right_around_the_block_boundary)
{
    /* 55, 56 and 64 bytes: the last length that fits, the first that does not, a whole block. */
    static const struct {
        size_t n;
        const char *sum;
    } vectors[] = {
        { 55, "ef1772b6dff9a122358552954ad0df65" },
        { 56, "3b0c8ac703f828b04c6c197006d17218" },
        { 64, "014842d480b571495a4a0363793f7367" },
    };
    uint8_t data[64];
    memset(data, 'a', sizeof(data));
    for (size_t i = 0; i < OTR_COUNT(vectors); i++) {
        uint8_t sum[OTR_MD5_BYTES];
        char text[2 * OTR_MD5_BYTES + 1];
        otr_nginx_md5((otr_bytes){ data, vectors[i].n }, sum);
        hex(sum, text);
        CHECK_STR(text, vectors[i].sum);
    }
}

T(uuid_equals_the_one_a_management_plane_knows)
{
    char id[OTR_NGINX_ID_BYTES];
    CHECK_STR(otr_nginx_uuid(otr_bytes_of("test1_test2_test3"), id),
              "02be9e7f-a802-35d4-9e4a-6c677259a87d");
}

T(instance_id_joins_binary_config_and_prefix)
{
    char id[OTR_NGINX_ID_BYTES];
    otr_err err;
    REQUIRE_OK(otr_nginx_instance_id("/usr/sbin/nginx", "/etc/nginx/nginx.conf", "/usr/share/nginx",
                                     id, &err),
               err);
    CHECK_STR(id, "cd2d5dc0-c528-3f37-b83c-727fd4010777");
}
